"""E3: when a snapshot is used, and when it is ignored."""

from __future__ import annotations

import msgspec
import pytest

from eventstore.log.records import Record
from eventstore.processor.counts import EntityCounts
from eventstore.processor.erasure import NOTHING_ERASED, Erasure
from eventstore.processor.index import StreamIndex
from eventstore.processor.restore import Restore
from eventstore.processor.rows import SyncedTo
from eventstore.processor.snapshots import (
    Ignored,
    Snapshot,
    Wanted,
    decode_snapshot,
    encode_snapshot,
    snapshot_key,
    stands,
    usable,
)
from eventstore.state.memory import MemoryState
from tests.eventstore.snapshots.tallies import Doubled, TallyBench, Truncate

KEY = snapshot_key(b"a", "counter")


def test_an_entity_is_folded_from_its_snapshot_on(bench: TallyBench) -> None:
    """Two events after it are all that a successor folds; its version is the stream's."""
    for by in (1, 2, 3, 4, 5, 6, 7):
        bench.add(by)

    successor = bench.next()

    assert successor.total() == (28, 2)
    assert (successor.count("snapshots_used_total"), successor.count("entity_misses_total")) == (1, 1)
    successor.add(8)
    assert [version for version, _ in successor.events("a")] == list(range(8))


def test_a_wiped_folder_comes_back_with_its_snapshots(bench: TallyBench) -> None:
    """Restored from the state topic; after compaction, too, which keeps the last one of an entity."""
    for by in range(1, 13):
        bench.add(by)
    before = bench.snapshot()
    assert len(bench.journaled()) == 2

    bench.compact()
    assert len(bench.journaled()) == 1
    successor = bench.next(wiped=True)

    assert successor.snapshot() == before
    assert successor.total() == (78, 2)


def test_a_code_change_invalidates(bench: TallyBench) -> None:
    """S6: what other code folded is ignored, counted, and replaced by what this code folds."""
    for by in range(1, 8):
        bench.add(by)

    changed = bench.next(Doubled)

    assert changed.total()[0] == 56
    assert changed.count('snapshots_ignored_total{reason="stale"}') == 1
    kept = changed.snapshot()
    assert kept is not None
    assert kept.version == 6
    assert changed.next(Doubled).count('snapshots_ignored_total{reason="stale"}') == 0


@pytest.mark.parametrize("value", [b"", b"\2", b"\1garbage", b"\1" + b"\0" * 60])
def test_a_corrupt_one_is_ignored(bench: TallyBench, value: bytes) -> None:
    """Counted, never an error: the events say the same."""
    bench.add(1, 2, 3, 4, 5)
    bench.partition_state().write([(KEY, value)])

    successor = bench.next()

    assert successor.total() == (15, 5)
    assert successor.count('snapshots_ignored_total{reason="corrupt"}') == 1


def test_a_flipped_bit_is_noticed(bench: TallyBench) -> None:
    """JSON with another digit in it is still JSON: the checksum tells."""
    bench.add(1, 2, 3, 4, 5)
    row = bench.partition_state().get(KEY)
    assert row is not None
    bench.partition_state().write([(KEY, row.replace(b'"total":15', b'"total":75'))])

    successor = bench.next()

    assert successor.total() == (15, 5)
    assert successor.count('snapshots_ignored_total{reason="corrupt"}') == 1


def test_one_whose_state_cannot_be_read_is_ignored(bench: TallyBench) -> None:
    """Of the right code, intact, and yet no state."""
    bench.add(1, 2, 3, 4, 5)
    kept = bench.snapshot()
    assert kept is not None
    bench.partition_state().write([(KEY, encode_snapshot(kept._replace(state=b'{"total":[]}')))])

    assert bench.next().total() == (15, 5)


@pytest.mark.parametrize("before", [3, 5])
def test_after_a_truncation_behind_it_the_fold_is_exact(bench: TallyBench, before: int) -> None:
    """E2, E3: the snapshot is of version 4, and the first kept version at most 5. With a wiped folder, too."""
    for by in range(1, 8):
        bench.add(by)
    bench.ask(Truncate(counter="a", before=before))

    assert bench.total() == (28, 2)
    assert bench.next(wiped=True).total() == (28, 2)


def test_after_a_truncation_beyond_it_it_is_gone(bench: TallyBench) -> None:
    """Between it and the first kept event one is missing: what it says is not what they go on from."""
    for by in range(1, 8):
        bench.add(by)
    bench.ask(Truncate(counter="a", before=6))

    assert bench.snapshot() is None
    assert bench.journaled()[-1] == (KEY, None)
    assert bench.total() == (7, 1)


def test_a_deletion_drops_it_whatever_its_version(bench: TallyBench) -> None:
    """Its last version is the stream's: the next event follows it, and yet does not go on from it."""
    bench.add(1, 2, 3, 4, 5)
    bench.ask(Truncate(counter="a", before=-1))
    assert bench.snapshot() is None

    bench.add(7)
    assert bench.next(wiped=True).total() == (7, 1)
    bench.compact()
    assert not any(value for _, value in bench.journaled())


def test_one_of_a_deleted_stream_that_is_still_there_is_ignored(bench: TallyBench) -> None:
    """Say an owner died between two writes, or restored in another order: the erasure outranks it."""
    bench.add(1, 2, 3, 4, 5)
    row = bench.partition_state().get(KEY)
    bench.ask(Truncate(counter="a", before=-1))
    bench.partition_state().write([(KEY, row)])

    successor = bench.next()

    assert successor.total() == (0, 0)
    assert successor.count('snapshots_ignored_total{reason="erased"}') == 1


def test_a_truncated_aggregate_knows_its_version(bench: TallyBench) -> None:
    """It is its stream's, not the number of events that are left: `Truncate` goes by it here."""
    for by in range(1, 8):
        bench.add(by)
    bench.ask(Truncate(counter="a", before=6))

    bench.ask(Truncate(counter="a", before=-1))

    assert bench.total() == (0, 0)


@pytest.mark.parametrize("stored", [False, True])
def test_on_restore_the_higher_version_stands(stored: bool) -> None:
    """Whether it was read before, or in the same restore; a tombstone ends it whatever its version."""
    state, lower, higher = MemoryState(), _record(4), _record(9)
    if stored:
        state.write([(KEY, higher.value)])
    restore = Restore(state, SyncedTo(0, 0, 0, 0), 0)
    if not stored:
        restore.journaled([higher])

    restore.journaled([lower])
    restore.write()
    assert state.get(KEY) == higher.value

    restore.journaled([msgspec.structs.replace(lower, value=None)])
    restore.journaled([lower])
    restore.write()
    assert state.get(KEY) == lower.value


def _record(version: int) -> Record:
    """The record of a snapshot of this version."""
    value = encode_snapshot(Snapshot(version, b"f" * 16, b"{}"))
    return Record("counter.state", 0, version, 0, KEY, value, ())


def test_one_of_a_later_version_is_not_given_for_an_earlier_one() -> None:
    """Nor counted as used."""
    state, counts = MemoryState(), EntityCounts()
    state.write([(KEY, _record(4).value)])
    index, wanted = StreamIndex(state, counts), Wanted("counter", b"f" * 16)

    assert [index.snapshot("a", wanted, until) is None for until in (3, 4, None)] == [True, False, False]
    assert counts.metrics()["processor_snapshots_used_total"] == 2


def test_which_snapshots_the_kept_events_go_on_from() -> None:
    """E3 in all cases."""
    truncated, deleted = Erasure(first=5, head=9), Erasure(first=10, head=9)

    assert stands(0, NOTHING_ERASED)
    assert [stands(version, truncated) for version in (3, 4, 5)] == [False, True, True]
    assert [stands(version, deleted) for version in (8, 9, 10)] == [False, False, True]


def test_the_layout() -> None:
    """Version byte, version, fingerprint, checksum, state: read as it was written, and nothing else is read."""
    snapshot = Snapshot(7, b"f" * 16, b'{"a":1}')
    value = encode_snapshot(snapshot)

    assert value[0] == 1
    assert decode_snapshot(value) == snapshot
    assert usable(value, b"g" * 16, NOTHING_ERASED) is Ignored.STALE
    assert all(decode_snapshot(value[:size]) is None for size in range(len(value)))
