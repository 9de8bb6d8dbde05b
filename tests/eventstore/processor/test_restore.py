"""Rows are made of records in portions, each of which is whole by itself (K1, K13)."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from eventstore.log.records import Record
from eventstore.processor import restore as restoring
from eventstore.processor.counts import EntityCounts
from eventstore.processor.index import StreamIndex
from eventstore.processor.restore import FEWEST_BYTES, FEWEST_ROWS, Restore
from eventstore.processor.rows import POSITION_KEY, SyncedTo, decode_outcome, decode_synced, outcome_key
from eventstore.processor.topics import DEDUPLICATION_WINDOW_MS
from eventstore.state.memory import MemoryState
from schemas import Handled, Metadata

NOW_MS = 1_800_000_000_000


class Kept(MemoryState):
    """Rows in memory, and what was loaded at once."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[Mapping[bytes, bytes | None]] = []
        self.flushed_at: list[int] = []

    def load(self, rows: Mapping[bytes, bytes | None]) -> None:
        self.loads.append(rows)
        super().load(rows)

    def flush(self) -> None:
        self.flushed_at.append(len(self.loads))


def event(number: int, *, stream: str = "a", time_ms: int = NOW_MS, size: int = 10, step: int | None = None) -> Record:
    """An event of a commit of its own, at that offset."""
    done = Handled(step=number if step is None else step, input=f"i{number}", answer=b"yes")
    meta = Metadata(id=f"i{number}.0", done=done).encode()
    return Record("x.events", 0, number, time_ms, f"{stream}/{number}".encode(), bytes(size), (("meta", meta),))


def restored(state: Kept, *, share: int = 1) -> Restore:
    """A restore of an empty state."""
    made = Restore(state, SyncedTo(0, 0, 0, 0), NOW_MS)
    made.share(share)
    return made


def test_each_portion_says_how_far_it_goes() -> None:
    """A kill takes the last portions: what is left of rows and positions fits together, heads included."""
    state = Kept()
    restore = restored(state, share=1_000_000)
    for first in range(0, 3 * FEWEST_ROWS, 100):
        restore.events([event(number) for number in range(first, first + 100)])

    assert len(state.loads) > 2
    for rows in state.loads:
        last = max(int.from_bytes(key[-8:], "big") for key in rows if key.startswith(b"e"))
        position, head = rows[POSITION_KEY], rows[b"ha"]
        assert position is not None and head is not None
        assert decode_synced(position) == SyncedTo(last, last + 1, 0, NOW_MS)
        assert int.from_bytes(head[1:], "big") == last


@pytest.mark.parametrize(("size", "loads"), [(10, 0), (FEWEST_BYTES // 2, 3)])
def test_large_events_are_loaded_sooner(size: int, loads: int) -> None:
    """Memory is bounded by bytes, too, and shared by all that are restored at once."""
    state = Kept()
    restore = restored(state, share=1_000_000)
    for number in range(6):
        restore.events([event(number, size=size)])

    assert len(state.loads) == loads


def test_few_rows_are_written_as_those_of_a_batch() -> None:
    """The tail of a restart takes one logged write, and no file of its own."""
    state = Kept()
    restore = restored(state)
    restore.events([event(0), event(1)])

    assert restore.finish(NOW_MS + 5) == SyncedTo(1, 2, 0, NOW_MS + 5)
    assert (state.loads, state.flushed_at) == ([], [])
    assert StreamIndex(state, EntityCounts()).head("a") == 1


def test_what_was_loaded_is_flushed_before_anything_else_is_written() -> None:
    """A logged write after it would survive a kill that takes what it rests on."""
    state = Kept()
    restore = restored(state, share=1_000_000)
    restore.events([event(number) for number in range(2 * FEWEST_ROWS)])
    restore.events([event(2 * FEWEST_ROWS)])

    restore.finish(NOW_MS)

    assert state.flushed_at == [len(state.loads)]
    assert StreamIndex(state, EntityCounts()).head("a") == 2 * FEWEST_ROWS


def test_old_outcomes_are_left_out() -> None:
    """K1: of inputs that no repeat can follow any more only the step is taken over."""
    state = Kept()
    restore = restored(state)
    restore.events([event(0, time_ms=NOW_MS - DEDUPLICATION_WINDOW_MS - 1, step=9), event(1)])
    synced = restore.finish(NOW_MS)

    row = state.get(outcome_key("i1"))
    assert row is not None
    assert decode_outcome(row).answer == b"yes"
    assert state.get(outcome_key("i0")) is None
    assert synced.step == 9


def test_a_head_that_stands_higher_stands() -> None:
    """E2: the state topic told of a head beyond the events that are read after it."""
    state = Kept()
    state.write([(b"ha", (b"\1" + (7).to_bytes(8, "big")))])
    restore = restored(state)
    restore.events([event(5)])
    restore.finish(NOW_MS)

    assert StreamIndex(state, EntityCounts()).head("a") == 7


@pytest.mark.parametrize("known", [0, 2, 20_000])
def test_a_head_stands_over_many_portions(known: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many heads are remembered in between: the highest version of each stream."""
    monkeypatch.setattr(restoring, "HEADS_KNOWN", known)
    state = Kept()
    restore = restored(state)
    for version, streams in ((3, "abcd"), (5, "ab"), (4, "abc"), (6, "a")):
        restore.events([event(version, stream=stream) for stream in streams])
        restore.write()

    index = StreamIndex(state, EntityCounts())
    assert {stream: index.head(stream) for stream in "abcde"} == {"a": 6, "b": 5, "c": 4, "d": 3, "e": -1}
