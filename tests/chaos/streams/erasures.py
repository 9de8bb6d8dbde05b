"""What the log must say of deletions and truncations (E2): each acknowledged one is there, each refused one is not.

All erasures have commit ids. The log names the input that erased, so each record of an erasure has its callers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from eventstore.appending import append_id
from tests.chaos.streams.appends import Append
from tests.chaos.streams.attempts import Attempts, check_lost_races, fits
from tests.chaos.streams.history import ERASES, Operation
from tests.chaos.streams.log_scan import Final, LoggedErasure
from tests.chaos.streams.timeline import State, Timeline
from tests.chaos.streams.violations import Rule, Violation, violated


@dataclass
class Erasure(Attempts):
    """All calls that asked for one erasure, and what the log has of it."""

    stream: str
    commit: str
    before: int | None
    calls: list[Operation] = field(default_factory=list[Operation])
    logged: LoggedErasure | None = None

    @property
    def name(self) -> str:
        what = "delete" if self.before is None else f"truncate before {self.before}"
        return f"{what} of {self.stream}, commit {self.commit}"

    def first_kept(self, head: int) -> int:
        """From which version on it keeps the events of a stream with this head, unless more is erased already."""
        return head + 1 if self.before is None else min(self.before, head + 1)

    def changes_nothing(self, state: State) -> bool:
        """Whether it erases nothing of a stream in this state, and was acknowledged with what that says."""
        before = self.first_kept(state.head)
        is_expected = any(fits(call.invoke.expected, state.visible) for call in self.effective)
        told = [call.result.first for call in self.acknowledged if call.result is not None]
        return is_expected and before <= state.first and told[:1] == [state.first]


def erasures_of(operations: Iterable[Operation], timelines: Mapping[str, Timeline]) -> list[Erasure]:
    """All erasures that were asked for."""
    found = dict[tuple[str, str, int | None], Erasure]()
    for operation in operations:
        if operation.invoke.do in ERASES:
            key = (operation.invoke.stream, operation.invoke.commit, operation.invoke.before)
            found.setdefault(key, Erasure(*key)).calls.append(operation)
    commits = defaultdict[tuple[str, str], list[Erasure]](list)
    for erasure in found.values():
        if erasure.effective:
            commits[erasure.stream, erasure.commit].append(erasure)
    for (stream, commit), several in commits.items():
        input_id, timeline = append_id(stream, commit), timelines.get(stream) or Timeline((), ())
        logged = next((one for one in timeline.erasures if one.input == input_id), None)
        _likeliest(several, logged).logged = logged
    return list(found.values())


def _likeliest(several: Sequence[Erasure], logged: LoggedErasure | None) -> Erasure:
    """Whose the log's record is, of all that have its commit id: calls of unknown outcome may have been refused."""
    told = [one for one in several if one.acknowledged]
    wanted = [one for one in several if logged and logged.first == one.first_kept(logged.head)]
    return (told or wanted or several)[0]


def check_erasures(erasures: Iterable[Erasure], timelines: Mapping[str, Timeline]) -> Iterator[Violation]:
    """Each erasure against the log, and the log against those who asked."""
    asked = defaultdict[str, set[str]](set)
    for erasure in erasures:
        for call in erasure.calls:
            if call.outcome in ("ok", "unknown"):
                asked[erasure.stream].add(append_id(erasure.stream, erasure.commit))
        yield from _check_answers(erasure)
        if erasure.logged is not None:
            yield from _check_logged(erasure, erasure.logged, timelines[erasure.stream])
    for stream, timeline in timelines.items():
        for place, logged in enumerate(timeline.erasures):
            what = f"{stream}: erased before {logged.first} at head {logged.head}"
            if logged.input not in asked[stream]:
                yield violated(Rule.REFUSED, f"{what}, by nobody who may have")
            elif any(logged.input == other.input for other in timeline.erasures[:place]):
                yield violated(Rule.ONCE, f"{what}, under an id that had erased before")


def _check_answers(erasure: Erasure) -> Iterator[Violation]:
    told = {(call.result.erased, call.result.first) for call in erasure.acknowledged if call.result is not None}
    if len(told) > 1:
        yield violated(Rule.REPEATS, f"{erasure.name}: answers {sorted(told)}", *erasure.acknowledged)
    has_erased = any(erased for erased, _ in told)
    if has_erased and erasure.logged is None:
        yield violated(Rule.ERASED, f"{erasure.name}: acknowledged and not there", *erasure.calls)
    elif told and erasure.logged is not None and erasure.logged.first not in {first for _, first in told}:
        what = f"{erasure.name}: keeps events from {erasure.logged.first} on, told {sorted(told)}"
        yield violated(Rule.ERASED, what, *erasure.acknowledged)
    yield from check_lost_races(erasure)


def _check_logged(erasure: Erasure, logged: LoggedErasure, timeline: Timeline) -> Iterator[Violation]:
    before = timeline.states[timeline.after_erasure(logged.first) - 1]
    if before.head != logged.head:
        what = f"{erasure.name}: found the head {logged.head} where the log's is {before.head}"
        yield violated(Rule.ERASED, what, *erasure.effective)
    wanted = erasure.first_kept(before.head)
    if logged.first != wanted:
        what = f"{erasure.name}: keeps events from {logged.first} on in the place of {wanted}"
        yield violated(Rule.ERASED, what, *erasure.effective)
    counts = {call.result.erased for call in erasure.acknowledged if call.result is not None}
    if counts - {logged.first - before.first}:
        what = f"{erasure.name}: erased {logged.first - before.first} events, told {sorted(counts)}"
        yield violated(Rule.ERASED, what, *erasure.acknowledged)
    if not any(fits(call.invoke.expected, before.visible) for call in erasure.effective):
        what = f"{erasure.name}: came after version {before.visible}"
        yield violated(Rule.EXPECTED, what, *erasure.effective)


def check_left(final: Final, timelines: Mapping[str, Timeline]) -> Iterator[Violation]:
    """Cleaner and tombstones took what is erased, and nothing else."""
    for stream, logged in final.streams.items():
        erased = final.erasures.get(stream, [])
        first = max((one.first for one in erased), default=0)
        done = max((one.done for one in erased), default=0)
        left = final.left.get(stream, {})
        for event in logged:
            there = left.get(event.version)
            if event.version >= first and there != event.label:
                what = f"{stream}: version {event.version} is kept, and gone from the topic"
                yield violated(Rule.KEPT, f"{what}: {there or 'nothing'} is there in the place of {event.label}")
            elif event.version < done and there is not None:
                yield violated(Rule.KEPT, f"{stream}: version {event.version} should have its tombstone, below {done}")


def check_commit_ids(appends: Iterable[Append], erasures: Iterable[Erasure]) -> Iterator[Violation]:
    """K8, E1: one commit id, one content."""
    contents = defaultdict[tuple[str, str], list[tuple[str, list[Operation]]]](list)
    for append in appends:
        for commit in {call.invoke.commit for call in append.calls} - {""}:
            if append.found or append.acknowledged:
                contents[append.stream, commit].append((append.content, append.calls))
    for erasure in erasures:
        if erasure.logged is not None or erasure.acknowledged:
            contents[erasure.stream, erasure.commit].append((erasure.name, erasure.calls))
    for (stream, commit), several in contents.items():
        if len(several) > 1:
            names = [name for name, _ in several]
            calls = [call for _, calls in several for call in calls]
            yield violated(Rule.REPEATS, f"commit id {commit} of {stream} has the contents {names}", *calls)
