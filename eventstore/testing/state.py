"""The contract of the state port as tests: an engine's test is a subclass with a factory.

::

    class TestMemory(StateContract):
        def make_engine(self, tmp_path): return MemoryStateEngine()

Each test names one promise of `eventstore.state.port`. Needs pytest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventstore.state.port import State, StateEngine

__all__ = ["StateContract"]


class StateContract(ABC):
    """What every state engine promises. Give `make_engine`."""

    @abstractmethod
    def make_engine(self, tmp_path: Path) -> StateEngine:
        """An engine on this test's own folder."""

    @pytest.fixture
    def engine(self, tmp_path: Path) -> StateEngine:
        """The engine under test."""
        return self.make_engine(tmp_path)

    @pytest.fixture
    def state(self, engine: StateEngine) -> Iterator[State]:
        """An open, empty state."""
        state = engine.open("stock/0", "v1")
        yield state
        state.close()

    def test_reads_what_was_written(self, state: State) -> None:
        """A row is there after the write; a key without a row has None; an empty value is a value."""
        state.write([(b"a", b"1"), (b"b", b""), (b"\x00\xff", b"\x00")])

        assert (state.get(b"a"), state.get(b"b"), state.get(b"\x00\xff"), state.get(b"c")) == (b"1", b"", b"\x00", None)

    def test_reads_many_in_the_order_asked(self, state: State) -> None:
        """Values come in the order of the keys, None where there is none, and twice if asked twice."""
        state.write([(b"a", b"1"), (b"b", b"2")])

        assert state.get_many([b"b", b"x", b"a", b"b"]) == [b"2", None, b"1", b"2"]
        assert state.get_many([]) == []

    def test_none_deletes(self, state: State) -> None:
        """A row of None removes the key, also one that was never there."""
        state.write([(b"a", b"1"), (b"b", b"2")])

        state.write([(b"a", None), (b"never", None)])

        assert state.get(b"a") is None
        assert list(state.scan(b"")) == [(b"b", b"2")]

    def test_last_row_of_a_key_wins(self, state: State) -> None:
        """Within one write the later row counts, whether it sets or deletes."""
        state.write([(b"a", b"1"), (b"a", b"2"), (b"b", b"1"), (b"b", None), (b"c", None), (b"c", b"3")])

        assert list(state.scan(b"")) == [(b"a", b"2"), (b"c", b"3")]

    def test_loads_rows_as_it_writes_them(self, state: State) -> None:
        """Loaded rows are read at once, before and after they are flushed; None deletes; what is written later wins."""
        state.write([(b"a", b"1"), (b"b", b"1")])

        state.load({b"a": b"2", b"b": None, b"c": b"2", b"d": b"2"})
        loaded = list(state.scan(b""))
        state.flush()
        state.write([(b"c", b"3")])

        assert loaded == [(b"a", b"2"), (b"c", b"2"), (b"d", b"2")]
        assert list(state.scan(b"")) == [(b"a", b"2"), (b"c", b"3"), (b"d", b"2")]

    def test_scans_a_range_in_key_order(self, state: State) -> None:
        """Start is included, end is not, order is that of the bytes."""
        state.write([(bytes([n]), b"%d" % n) for n in (5, 1, 255, 3, 4, 2)])

        assert [key for key, _ in state.scan(b"\x02", b"\x05")] == [b"\x02", b"\x03", b"\x04"]
        assert [key for key, _ in state.scan(b"\x04")] == [b"\x04", b"\x05", b"\xff"]
        assert list(state.scan(b"\x06", b"\xfe")) == list(state.scan(b"\x05", b"\x02")) == []

    def test_scans_against_the_order(self, state: State) -> None:
        """Reverse gives the same rows, the last first."""
        state.write([(b"k%03d" % n, b"%d" % n) for n in range(700)])

        for start, end in ((b"", None), (b"k100", b"k600"), (b"k0", b"k0995"), (b"k5", None)):
            assert list(state.scan(start, end, reverse=True)) == list(state.scan(start, end))[::-1]
        assert len(list(state.scan(b""))) == 700

    def test_a_scan_ends_where_it_was_told_whatever_becomes_of_its_arguments(self, state: State) -> None:
        """The bounds are the scan's own: memory that was used for them may be used for other things meanwhile."""
        state.write([(b"k%05d" % n, b"%d" % n) for n in range(3_000)])

        found = {bytes(key[1:]).decode(): value for key, value in state.scan(b"k", bytes([107, 255]))}

        assert len(found) == 3_000

    def test_scan_sees_the_rows_as_they_were(self, state: State) -> None:
        """Writes during a scan do not show in it: not what is added, changed or removed."""
        before = [(b"k%03d" % n, b"old") for n in range(600)]
        state.write(before)
        forwards, backwards = state.scan(b""), state.scan(b"", reverse=True)
        first, last = next(forwards), next(backwards)

        state.write([(b"k%03d" % n, b"new") for n in range(1, 300)])
        state.write([(b"k300", None), (b"k0005", b"added"), (b"z", b"z")])

        assert [first, *forwards] == before
        assert [last, *backwards] == before[::-1]
        assert state.get(b"k001") == b"new"

    def test_scans_stay_right_over_many_writes(self, state: State) -> None:
        """Scans between writes of all sizes see exactly the rows that are there."""
        rows: dict[bytes, bytes] = {}
        for step in range(60):
            size = (1, 3, 40, 200)[step % 4]
            keys = [b"%04d" % (n * 37 * (step + 1) % 1009) for n in range(size)]
            changes = [(key, b"%d" % step if (n + step) % 3 else None) for n, key in enumerate(keys)]
            state.write(changes)
            for key, value in changes:
                if value is None:
                    rows.pop(key, None)
                else:
                    rows[key] = value
            assert list(state.scan(b"02", b"07")) == [(k, v) for k, v in sorted(rows.items()) if b"02" <= k < b"07"]

    def test_written_rows_stay_when_it_is_closed(self, engine: StateEngine) -> None:
        """Opened again under the same identity, the rows are there."""
        state = engine.open("stock/1", "v1")
        state.write([(b"a", b"1")])
        state.close()

        again = engine.open("stock/1", "v1")

        assert again.get(b"a") == b"1"
        again.close()

    def test_closing_twice_is_harmless(self, engine: StateEngine) -> None:
        """Also while a scan is under way; the state can be opened again."""
        state = engine.open("stock/1", "v1")
        state.write([(b"a", b"1"), (b"b", b"2")])
        scan = state.scan(b"")
        next(scan)

        state.close()
        state.close()

        again = engine.open("stock/1", "v1")
        assert again.get(b"b") == b"2"
        again.close()

    def test_other_identity_is_discarded(self, engine: StateEngine) -> None:
        """Rows that were derived from something else are gone, for good."""
        state = engine.open("stock/1", "v1")
        state.write([(b"a", b"1")])
        state.close()
        engine.open("stock/1", "v2").close()

        back = engine.open("stock/1", "v1")

        assert list(back.scan(b"")) == []
        back.close()

    def test_names_are_separate(self, engine: StateEngine) -> None:
        """Each name has its own rows."""
        one, two = engine.open("stock/1", "v1"), engine.open("stock/10", "v1")
        one.write([(b"a", b"1")])

        assert two.get(b"a") is None
        one.close()
        two.close()

    def test_discarded_state_is_empty(self, engine: StateEngine) -> None:
        """Discarding removes all rows of that name only; a missing name is ignored."""
        for name in ("stock/1", "stock/2"):
            state = engine.open(name, "v1")
            state.write([(b"a", b"1")])
            state.close()

        engine.discard("stock/1")
        engine.discard("never/made")

        one, two = engine.open("stock/1", "v1"), engine.open("stock/2", "v1")
        assert (one.get(b"a"), two.get(b"a")) == (None, b"1")
        one.close()
        two.close()
