"""Aggregates with snapshots, and a bench that counts what is folded."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeAlias

from eventstore.aggregate import Aggregate, decide, evolve, processor_of
from eventstore.log.local.log import LocalLog
from eventstore.log.partition import partition_of
from eventstore.processor.port import DecideContext
from eventstore.processor.snapshots import PREFIX, Snapshot, Snapshots, decode_snapshot, snapshot_key
from eventstore.state.memory import MemoryStateEngine
from eventstore.state.port import State
from schemas import Command
from tests.eventstore.processor.counters import Add, Added, Ask, Bench, Total, records_of

FOLDED: list[int] = []
"""What was evolved by, here."""


class Truncate(Command[None], to="counter", key="counter"):
    """Erase the events before a version; −1: all."""

    counter: str
    before: int


class Tally(Aggregate[Added], name="counter", partitions=2, snapshot=Snapshots(every=5)):
    """A sum. The reply to `Ask` is all that a caller sees of it."""

    total: int = 0
    largest: int = 0

    @decide
    def add(self, command: Add) -> Total:
        if command.by < 0:
            self.record(Added(by=1_000))
            raise ValueError("a bug")
        self.record(Added(by=command.by))
        return Total(is_=self.total)

    @decide
    def ask(self, command: Ask) -> Total:
        return Total(is_=self.total)

    @decide
    def truncate(self, command: Truncate, context: DecideContext[Any]) -> None:
        context.truncate(self.version + 1 if command.before < 0 else command.before)

    @evolve
    def added(self, event: Added) -> None:
        FOLDED.append(event.by)
        self.total += event.by
        self.largest = max(self.largest, event.by)


class Doubled(Tally, name="counter", partitions=2, snapshot=Snapshots(every=5)):
    """The same with changed code."""

    @evolve
    def added(self, event: Added) -> None:
        self.total += event.by * 2


AnyTally: TypeAlias = type[Tally]


@dataclass
class TallyBench(Bench):
    """A unit with one of them."""

    aggregate: AnyTally = Tally
    processors: Any = field(default=())

    def __post_init__(self) -> None:
        self.processors = [processor_of(self.aggregate)]
        super().__post_init__()
        self.run()

    def add(self, *amounts: int, to: str = "a") -> None:
        """One command each, in one batch if possible."""
        answers: list[Any] = []
        for by in amounts:
            self.call(Add(counter=to, by=by), answers.append)
        self.run(lambda: len(answers) == len(amounts))

    def total(self, of: str = "a") -> tuple[int, int]:
        """What the aggregate answers, and how many events were folded for that."""
        FOLDED.clear()
        answer = self.ask(Ask(counter=of))
        assert isinstance(answer, Total)
        return answer.is_, len(FOLDED)

    def next(self, aggregate: AnyTally | None = None, *, wiped: bool = False) -> TallyBench:
        """A successor, with the state or without."""
        self.run()
        self.close()
        state = MemoryStateEngine() if wiped else self.state
        return TallyBench(
            self.log, clock=self.clock, registry=self.registry, state=state, aggregate=aggregate or self.aggregate
        )

    def compact(self) -> None:
        """Run the cleaner to the end; tombstones go, too."""
        assert isinstance(self.log, LocalLog)
        for _ in range(2):
            self.log.compact(tombstone_age=timedelta())

    def partition_state(self, key: str = "a") -> State:
        """The rows of the key's partition."""
        [served] = [one for at, one in self.unit._served.partitions.items() if at.partition == partition_of(key, 2)]
        return served.state

    def snapshot(self, key: str = "a") -> Snapshot | None:
        """The stored snapshot of an entity."""
        row = self.partition_state(key).get(snapshot_key(key.encode(), "counter"))
        return None if row is None else decode_snapshot(row)

    def journaled(self) -> list[tuple[bytes, bytes | None]]:
        """The records of snapshots in the state topic, in order."""
        records = records_of(self.log, "counter.state")
        return [(one.key or b"", one.value) for one in records if (one.key or b"")[:1] == PREFIX]

    def count(self, name: str) -> float:
        """A metric of snapshots or entities."""
        return self.unit.metrics()[f"processor_{name}"]
