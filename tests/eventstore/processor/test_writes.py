"""The rows of a batch, made while it is being committed."""

from __future__ import annotations

from typing import Any

import pytest

from eventstore.log.partition import partition_of
from eventstore.processor.batch import Decisions
from eventstore.processor.inputs import Outgoing
from eventstore.processor.rows import SyncedTo
from eventstore.processor.writes import Writes
from eventstore.state.buffered import BufferedState
from eventstore.state.memory import MemoryState
from tests.eventstore.processor.bad_ends import abort_next
from tests.eventstore.processor.counters import Add, Bench, Total


def batch(writes: Writes, number: int, tombstones: int) -> None:
    """Two events of one stream, one of another, a row beside them, and events that are erased."""
    out: list[Outgoing] = []
    for stream, version in ((b"a", 2 * number), (b"a", 2 * number + 1), (b"b", number)):
        writes.event(stream, version, b"meta", b"value %d" % version, out)
    writes.set([(b"row", b"%d" % number)])
    if tombstones:
        writes.tombstones(b"c", range(tombstones), out)


@pytest.mark.parametrize("skipped", [[0] * 4, [1] * 4, [0, 1, 1, 7, 1, 0, 3]])
@pytest.mark.parametrize("tombstones", [0, 2])
def test_rows_that_were_made_ahead_are_those_that_are_made_afterwards(skipped: list[int], tombstones: int) -> None:
    """Whatever lies between two batches of events: nothing, the mark of a transaction's end, or more."""
    ahead, afterwards = (Writes("p", 0, MemoryState(), SyncedTo(0, 0, 0, 0)) for _ in range(2))
    end = 0

    for number, skip in enumerate(skipped):
        for writes in (ahead, afterwards):
            batch(writes, number, tombstones)
        ahead.prepare()
        end += skip + 3 + tombstones

        made, expected = (dict(writes.applied({"p.events": end - 1})) for writes in (ahead, afterwards))
        assert made == expected
        assert (
            len(made) == 3 + 2 + 1 + tombstones + 1
        )  # events, heads, the row beside them, tombstones, how far it goes


def test_after_a_batch_that_never_happened_nothing_of_it_is_left() -> None:
    """K6: rows were made of it, and it is decided once more, on another input first."""
    writes, other = (Writes("p", 0, MemoryState(), SyncedTo(0, 0, 0, 0)) for _ in range(2))
    batch(writes, 0, 0)
    writes.prepare()
    writes.forget()

    for each in (writes, other):
        batch(each, 5, 0)

    assert writes.applied({"p.events": 2}) == other.applied({"p.events": 2})


@pytest.mark.parametrize("skipped", [0, 1])
def test_rows_are_made_once_as_soon_as_it_is_known_what_lies_between_batches(
    skipped: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is on this engine; the first batch after a start does not know."""
    writes, real, firsts = Writes("p", 0, MemoryState(), SyncedTo(0, 0, 0, 0)), Writes._all_rows, list[int]()

    def all_rows(self: Writes, first: int) -> dict[bytes, bytes | None]:
        firsts.append(first)
        return real(self, first)

    monkeypatch.setattr(Writes, "_all_rows", all_rows)
    for number in range(3):
        batch(writes, number, 0)
        writes.prepare()
        writes.applied({"p.events": skipped + number * (3 + skipped) + 2})

    assert firsts == ([0, 3, 6] if skipped == 0 else [0, 1, 5, 9])


def test_rows_are_made_and_earlier_ones_written_before_the_commit_has_ended(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is what it is for."""
    happened: list[str] = []

    def noted(name: str, real: Any) -> Any:
        def call(*what: Any) -> Any:
            happened.append(name)
            return real(*what)

        return call

    bench.ask(Add(counter="a", by=1))
    places: list[tuple[Any, str]] = [
        (Decisions, "prepare"), (Writes, "_all_rows"), (BufferedState, "relieve"), (Decisions, "apply")
    ]  # fmt: skip
    for of, name in places:
        monkeypatch.setattr(of, name, noted(name, getattr(of, name)))
    bench.ask(Add(counter="a", by=1))

    assert happened == ["prepare", "_all_rows", "relieve", "apply"]


def test_rows_of_an_aborted_batch_are_not_taken_for_those_of_the_next(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K6: the index says what the log does, offsets included."""
    bench.ask(Add(counter="a", by=1))
    failures = abort_next(bench, monkeypatch)
    assert bench.ask(Add(counter="a", by=2)) == Total(is_=3)
    assert bench.ask(Add(counter="a", by=4)) == Total(is_=7)

    assert not failures
    index = bench.unit.index("counter", partition_of("a", 2), "a")
    assert index is not None
    records = {record.key: (record.offset, record.value) for record in bench.records("counter.events")}
    assert {b"a/%d" % one.version: (one.offset, one.value) for one in index.read("a")} == records
