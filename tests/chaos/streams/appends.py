"""What the log must say of appends: versions, each acknowledged one once, each refused one not at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from eventstore.log.partition import partition_of
from tests.chaos.streams.attempts import Attempts, check_lost_races, fits
from tests.chaos.streams.history import Operation
from tests.chaos.streams.log_scan import Final, Logged
from tests.chaos.streams.model import PARTITIONS, content_of, labels
from tests.chaos.streams.timeline import Timeline
from tests.chaos.streams.violations import Rule, Violation, violated


@dataclass
class Append(Attempts):
    """One content: all calls that tried to append it, and where the log has it."""

    stream: str
    content: str
    calls: list[Operation] = field(default_factory=list[Operation])
    found: list[Logged] = field(default_factory=list[Logged])

    @property
    def name(self) -> str:
        return f"{self.content} in {self.stream}"

    @property
    def first(self) -> int:
        """Its first version in the log."""
        return self.found[0].version

    @property
    def last(self) -> int:
        return self.found[-1].version


def appends_of(operations: Iterable[Operation], final: Final) -> dict[tuple[str, str], Append]:
    """All appends that were tried or are in the log, by stream and content."""
    found = dict[tuple[str, str], Append]()
    for operation in operations:
        if operation.invoke.do == "append":
            key = (operation.invoke.stream, operation.invoke.content)
            found.setdefault(key, Append(*key)).calls.append(operation)
    for stream, logged in final.streams.items():
        for event in logged:
            key = (stream, content_of(event.label))
            found.setdefault(key, Append(*key)).found.append(event)
    return found


def check_versions(final: Final) -> Iterator[Violation]:
    """No gap, no fork, one partition."""
    for stream, logged in final.streams.items():
        home = partition_of(stream, PARTITIONS)
        strays = {event.partition for event in logged} - {home}
        if strays:
            yield violated(Rule.VERSIONS, f"{stream} belongs on partition {home} and is on {sorted(strays)}, too")
        expected = 0
        for event in logged:
            if event.version != expected:
                where = f"offset {event.offset} of partition {event.partition}"
                yield violated(Rule.VERSIONS, f"{stream}: version {event.version} in the place of {expected}, {where}")
            expected = event.version + 1


def timelines_of(appends: Iterable[Append], final: Final) -> dict[str, Timeline]:
    """The states of all streams that callers or the log know."""
    ends = defaultdict[str, list[int]](list)
    for append in appends:
        ends[append.stream] += [append.last] if append.found else []
    return {stream: Timeline(ends[stream], final.erasures.get(stream, ())) for stream in {*ends, *final.erasures}}


def check_appends(appends: Iterable[Append], timelines: Mapping[str, Timeline]) -> Iterator[Violation]:
    """Each append against the log."""
    for append in appends:
        yield from _check_log(append)
        yield from _check_answers(append)
        yield from _check_expected(append, timelines[append.stream])


def _check_log(append: Append) -> Iterator[Violation]:
    what = append.name
    if not append.calls:
        yield violated(Rule.UNKNOWN_WRITER, f"{what}: nobody appended it")
        return
    wanted, found = labels(append.content, append.calls[0].invoke.count), [event.label for event in append.found]
    if found in ([], wanted):
        versions = [event.version for event in append.found]
        if versions and versions != list(range(versions[0], versions[0] + len(wanted))):
            yield violated(Rule.WHOLE, f"{what}: at versions {versions}", *append.calls)
    elif any(found.count(label) > 1 for label in wanted):
        versions = [event.version for event in append.found]
        yield violated(Rule.ONCE, f"{what}: again, at versions {versions}", *append.calls)
    else:
        yield violated(Rule.WHOLE, f"{what}: {found} of {len(wanted)} events", *append.calls)


def _check_answers(append: Append) -> Iterator[Violation]:
    what, acknowledged = append.name, append.acknowledged
    told = {call.result.version for call in acknowledged if call.result is not None}
    if len(told) > 1:
        yield violated(Rule.REPEATS, f"{what}: answers {sorted(map(str, told))}", *acknowledged)
    if acknowledged and not append.found:
        yield violated(Rule.ACKNOWLEDGED, f"{what}: acknowledged and not there", *append.calls)
    elif acknowledged and not told.intersection(_ends(append)):
        yield violated(
            Rule.ACKNOWLEDGED, f"{what}: ends at {_ends(append)}, told {sorted(map(str, told))}", *acknowledged
        )
    if append.calls and append.found and not append.effective:
        yield violated(Rule.REFUSED, f"{what}: refused, and there at {append.first}", *append.calls)


def _ends(append: Append) -> Sequence[int]:
    last = labels(append.content, append.calls[0].invoke.count)[-1] if append.calls else ""
    return [event.version for event in append.found if event.label == last]


def _check_expected(append: Append, timeline: Timeline) -> Iterator[Violation]:
    expected = [call.invoke.expected for call in append.effective]
    head = timeline.states[timeline.after_append(append.last) - 1].visible if append.found else -1
    if append.found and expected and not any(fits(each, head) for each in expected):
        what = f"{append.name}: after version {head}, expected {expected}"
        yield violated(Rule.EXPECTED, what, *append.effective)
    yield from check_lost_races(append)
