"""What the log must say of alarms: the order of timers (K9).

A timer fires once, not before its time. What the inbox had before that time comes first: an alarm whose `Disarm` was
acknowledged before its instant never goes off, whoever owns it then and however late. One that nobody disarmed goes
off, at the latest when its partition has taken up work again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from tests.chaos.streams.alarms import Armed, Disarmed, Expired
from tests.chaos.streams.history import Operation
from tests.chaos.streams.log_scan import Final, LoggedAlarm
from tests.chaos.streams.violations import Rule, Violation, violated

LATE_MS = 5_000
"""How long after its time a timer may fire although its partition has work done."""


def check_alarms(operations: Iterable[Operation], final: Final) -> Iterator[Violation]:
    """Each alarm that was set, or that the log has."""
    calls = defaultdict[str, list[Operation]](list)
    for operation in operations:
        if operation.invoke.do in ("arm", "disarm"):
            calls[operation.invoke.stream].append(operation)
    latest = defaultdict[int, int](int)
    for logged in (event for events in final.alarms.values() for event in events):
        latest[logged.partition] = max(latest[logged.partition], logged.time_ms)
    for key in {*calls, *final.alarms}:
        found = final.alarms.get(key, [])
        yield from _check_log(key, found, latest[found[0].partition] if found else 0, calls[key])
        yield from _check_calls(key, found, calls[key])


def _check_log(key: str, logged: Sequence[LoggedAlarm], latest: int, calls: Sequence[Operation]) -> Iterator[Violation]:
    found = [event.what for event in logged]
    armed, disarmed, expired = (kind.__type_name__ for kind in (Armed, Disarmed, Expired))
    if found not in ([], [armed], [armed, disarmed], [armed, expired]):
        yield violated(Rule.TIMERS, f"alarm {key}: {found}", *calls)
    elif found == [armed] and (late_ms := latest - max(logged[0].due_ms, logged[0].time_ms)) > LATE_MS:
        yield violated(Rule.TIMERS, f"alarm {key}: it did not go off, {late_ms} ms after its time", *calls)
    elif found == [armed, expired] and logged[1].time_ms < logged[0].due_ms:
        early_ms = logged[0].due_ms - logged[1].time_ms
        yield violated(Rule.TIMERS, f"alarm {key}: it went off {early_ms} ms before its time", *calls)


def _check_calls(key: str, logged: Sequence[LoggedAlarm], calls: Sequence[Operation]) -> Iterator[Violation]:
    found = [event.what for event in logged]
    for call in calls:
        if call.outcome != "ok" or call.result is None:
            continue
        if call.invoke.do == "arm" and not found:
            yield violated(Rule.ACKNOWLEDGED, f"alarm {key}: set, and not there", call)
        if call.invoke.do == "disarm" and Expired.__type_name__ in found and call.result.acked_ms < logged[0].due_ms:
            before_ms = logged[0].due_ms - call.result.acked_ms
            what = f"alarm {key}: it went off although the inbox had its end {before_ms} ms before its time"
            yield violated(Rule.TIMERS, what, *calls)
