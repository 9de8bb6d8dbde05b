"""Rows that are written together keep the contract of the state port, but for a kill."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from eventstore.state import buffered
from eventstore.state.buffered import BufferedState
from eventstore.state.errors import StateDiskFull, StateError
from eventstore.state.memory import MemoryState, MemoryStateEngine
from eventstore.state.port import Row, State, StateEngine
from eventstore.state.rocks import RocksStateEngine
from eventstore.testing.state import StateContract


class Buffering:
    """An engine whose states write together."""

    def __init__(self, engine: StateEngine) -> None:
        self._engine = engine

    def open(self, name: str, identity: str) -> State:
        return BufferedState(self._engine.open(name, identity), time.monotonic)

    def discard(self, name: str) -> None:
        self._engine.discard(name)


@pytest.fixture
def _no_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small writes wait, too."""
    monkeypatch.setattr(buffered, "FEW", 0)


@pytest.mark.usefixtures("_no_few")
@pytest.mark.parametrize("rows", [2_000, 7])
class TestBufferedState(StateContract):
    """Contract of the port; also when there is much at once."""

    @pytest.fixture(autouse=True)
    def small(self, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(buffered, "MOST", rows)

    def make_engine(self, tmp_path: Path) -> StateEngine:
        return Buffering(MemoryStateEngine())


@pytest.mark.usefixtures("_no_few")
class TestBufferedRocksState(StateContract):
    """The same, before RocksDB."""

    def make_engine(self, tmp_path: Path) -> StateEngine:
        return Buffering(RocksStateEngine(tmp_path))


class Clock:
    """Stands still until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Full(MemoryState):
    """A disk that can be full, and counts its writes."""

    is_full = False
    writes = 0

    def write(self, rows: Sequence[Row]) -> None:
        if self.is_full:
            raise StateDiskFull("here")
        self.writes += 1
        super().write(rows)


@pytest.mark.usefixtures("_no_few")
def test_small_writes_become_one_and_of_a_key_the_last_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is what it is for."""
    monkeypatch.setattr(buffered, "MOST", 100)
    disk = Full()
    state = BufferedState(disk, Clock())

    for number in range(99):
        state.write([(b"e%d" % number, b"event"), (b"head", b"%d" % number)])

    assert disk.writes == 1
    assert (state.get(b"head"), disk.get(b"head")) == (b"98", b"98")
    state.write([(b"head", None)])
    assert (state.get(b"head"), disk.get(b"head")) == (None, b"98")
    assert state.get_many([b"e1", b"head", b"e98", b"x"]) == [b"event", None, b"event", None]


@pytest.mark.usefixtures("_no_few")
def test_what_a_kill_leaves_are_whole_writes_and_none_without_those_before_it(tmp_path: Path) -> None:
    """K13: the row that says how far the state goes is never ahead of the others."""
    engine = RocksStateEngine(tmp_path)
    inner = engine.open("stock/0", "v1")
    state = BufferedState(inner, Clock())
    for number in range(20_000):
        state.write([(b"e%05d" % number, b"x"), (b"position", b"%d" % number)])

    inner.close()  # the buffer is lost, as by a kill

    left = engine.open("stock/0", "v1")
    position = int(left.get(b"position") or b"-1")
    assert 12_000 <= position < 19_999
    assert [key for key, _ in left.scan(b"e", b"f")] == [b"e%05d" % number for number in range(position + 1)]
    left.close()


@pytest.mark.usefixtures("_no_few")
def test_after_a_disk_was_full_nothing_is_written_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Later rows without the ones that failed would say that those are there. What was written is still read."""
    monkeypatch.setattr(buffered, "MOST", 2)
    disk = Full()
    state = BufferedState(disk, Clock())
    state.write([(b"a", b"1")])
    disk.is_full = True
    with pytest.raises(StateDiskFull):
        state.write([(b"b", b"1")])
    disk.is_full = False

    with pytest.raises(StateError, match="takes nothing more"):
        state.write([(b"c", b"1")])
    with pytest.raises(StateError, match="takes nothing more"):
        state.scan(b"")
    assert state.get(b"a") == b"1"
    state.close()

    assert list(disk.scan(b"")) == []


@pytest.mark.usefixtures("_no_few")
@pytest.mark.parametrize("ending", ["write", "settle", "scan"])
def test_a_disk_that_is_full_while_nobody_waits_is_told_to_the_next(ending: str) -> None:
    """`relieve` is called in the middle of a commit, which nothing may disturb."""
    disk, clock = Full(), Clock()
    state = BufferedState(disk, clock)
    state.write([(b"a", b"1")])
    disk.is_full, clock.now = True, 0.09

    state.relieve()
    disk.is_full, clock.now = False, 0.2

    calls: dict[str, Callable[[], object]] = {
        "write": lambda: state.write([(b"b", b"1")]), "settle": state.settle, "scan": lambda: state.scan(b""),
    }  # fmt: skip
    with pytest.raises(StateDiskFull):
        calls[ending]()
    with pytest.raises(StateError, match="takes nothing more"):
        state.write([(b"c", b"1")])
    assert (state.get(b"a"), list(disk.scan(b""))) == (b"1", [])


@pytest.mark.usefixtures("_no_few")
def test_a_disk_that_was_full_while_nobody_waited_is_told_at_the_end() -> None:
    """The state may be closed before anything else is written."""
    disk, clock = Full(), Clock()
    state = BufferedState(disk, clock)
    state.write([(b"a", b"1")])
    disk.is_full, clock.now = True, 0.09
    state.relieve()

    with capture_logs() as logs:
        state.close()

    assert [line["event"] for line in logs] == ["state_not_flushed"]


@pytest.mark.usefixtures("_no_few")
def test_a_disk_that_is_full_at_the_end_is_told_and_stops_nothing() -> None:
    """The log has the rows."""
    disk = Full()
    state = BufferedState(disk, Clock())
    state.write([(b"a", b"1")])
    disk.is_full = True

    with capture_logs() as logs:
        state.close()

    assert [line["event"] for line in logs] == ["state_not_flushed"]


def test_few_rows_are_written_at_once_with_those_before_them() -> None:
    """K13: where there is no haste, a kill takes nothing."""
    disk = Full()
    state = BufferedState(disk, Clock())

    state.write([(b"e%d" % number, b"event") for number in range(100)])
    assert disk.writes == 0
    state.write([(b"e100", b"event")])

    assert disk.writes == 1
    assert len(list(disk.scan(b""))) == 101


@pytest.mark.parametrize("is_idle", [False, True])
def test_rows_that_are_late_are_written(is_idle: bool) -> None:
    """K13: a kill takes a tenth of a second's at most, of a unit that is busy and of one that has nothing to do."""
    disk, clock = Full(), Clock()
    state = BufferedState(disk, clock)
    many = [(b"e%d" % number, b"event") for number in range(100)]
    state.write(many)

    clock.now = 0.09
    state.settle()
    state.write(many)
    assert disk.writes == 0
    clock.now = 0.11
    if is_idle:
        state.settle()
    else:
        state.write(many)

    assert disk.writes == 1


@pytest.mark.usefixtures("_no_few")
@pytest.mark.parametrize(("rows", "seconds", "writes"), [(1_999, 0.07, 0), (2_000, 0.0, 1), (1, 0.09, 1), (0, 0.09, 0)])
def test_rows_are_written_while_nobody_waits_if_it_is_worth_it(rows: int, seconds: float, writes: int) -> None:
    """Much, or what would be late soon."""
    disk, clock = Full(), Clock()
    state = BufferedState(disk, clock)
    if rows:
        state.write([(b"e%d" % number, b"event") for number in range(rows)])
    clock.now = seconds

    state.relieve()

    assert (disk.writes, len(list(disk.scan(b"")))) == (writes, rows * writes)
