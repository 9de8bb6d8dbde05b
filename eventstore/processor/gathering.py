"""Gather what a unit's next batch decides on: inbox records, local calls, stashed records, due timers, erasures.

A local call whose partition is being taken waits; one whose partition is not here (any more) is passed on (K10).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from eventstore.clock import Clock
from eventstore.log.records import Record, TopicPartition
from eventstore.processor.batch import Inputs
from eventstore.processor.calls import Calls
from eventstore.processor.commits import Commits
from eventstore.processor.due import Barrier
from eventstore.processor.inputs import AnyCall
from eventstore.processor.pace import Pace
from eventstore.processor.served import Served


class Gathering:
    """The inputs of one unit. `call` may come from any thread, the rest from the loop's."""

    def __init__(
        self, clock: Clock, served: Served, commits: Commits, barrier: Barrier, moved: Callable[[AnyCall], None]
    ) -> None:
        self._clock, self._served, self._commits, self._barrier, self._moved = clock, served, commits, barrier, moved
        self.calls = Calls()
        self.pace = Pace(clock, self.calls)
        self._waiting: list[AnyCall] = []
        """Calls for partitions that are being taken."""

    def __bool__(self) -> bool:
        """Whether there are local calls that no batch has taken."""
        return bool(self.calls or self._waiting)

    def call(self, call: AnyCall) -> None:
        """Let a local call join the next batch, or pass it on if there is none any more."""
        if not self.calls.put(call):
            self._moved(call)

    def take_in(self, records: Sequence[Record], limit: int) -> Inputs:
        """What there is to decide on now."""
        self.pace.gather()
        now_ms = self._clock.now_ms()
        instants = self._due_instants(now_ms)  # asks the log, which may fail: before a call is taken
        waiting, self._waiting = self._waiting, []
        calls = self._here([*waiting, *self.calls.take(limit)])
        self.pace.took(calls=len(calls), records=len(records))
        stashed, self._served.stashed = self._served.stashed, []
        erasing = [at for at, partition in self._served.partitions.items() if partition.is_erasing(now_ms)]
        return Inputs(stashed=stashed, records=records, calls=calls, instants=instants, erasing=erasing)

    def take_one(self, records: Sequence[Record]) -> Inputs:
        """The one input to decide on now, so that it is known which one the log refuses. Others stay where they are."""
        stashed, self._served.stashed = self._served.stashed[:1], self._served.stashed[1:]
        if stashed:
            return Inputs(stashed=stashed)
        now_ms = self._clock.now_ms()
        partitions = self._served.partitions
        for at, instant in self._due_instants(now_ms).items():
            if partitions[at].timers.has_due(min(instant, now_ms)):
                return Inputs(instants={at: instant}, timers=1)
        if records:
            return Inputs(records=records[:1])
        waiting, self._waiting = self._waiting, []
        calls = self._here([*waiting, *self.calls.take(1)])
        self.calls.put_back(calls[1:])
        return Inputs(calls=calls[:1])

    def pass_on_strays(self) -> None:
        """Let no call wait here whose partition is not: while this is no member of the group, no batch takes it in."""
        waiting, self._waiting = self._waiting, []
        stay = self._here([*waiting, *self.calls.take(len(self.calls))])
        self._waiting = [*stay, *self._waiting]

    def pass_on(self) -> None:
        """Take no more. No call is left without an answer or an error (K10)."""
        waiting, self._waiting = self._waiting, []
        for call in [*waiting, *self.calls.close()]:
            self._moved(call)

    def _here(self, calls: list[AnyCall]) -> list[AnyCall]:
        """The calls for served partitions; those for partitions being taken wait, the others are passed on."""
        here: list[AnyCall] = []
        takes: dict[TopicPartition, bool] = {}
        for call in calls:
            at = call.at
            if at not in takes:
                takes[at] = self._served.takes_calls(at)
            if takes[at]:
                here.append(call)
            elif self._served.has(at):
                self._waiting.append(call)
            else:
                self._moved(call)
        return here

    def _due_instants(self, now_ms: int) -> dict[TopicPartition, int]:
        """Partitions whose timers may fire, and up to which instant (K9)."""
        due = [at for at, one in self._served.partitions.items() if one.timers.has_due(now_ms)]
        return self._barrier.instants(due, self._commits.positions, now_ms)
