"""The RocksDB engine keeps the state port's contract, and rule K13: folders that are locked, foreign or broken."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from eventstore.state import StateEngine, open_state
from eventstore.state.errors import StateDiskFull, StateError, StateFolderUnusable
from eventstore.state.rocks import RocksState, RocksStateEngine
from eventstore.testing.state import StateContract

HOLDER = """
import sys
from eventstore.state import open_state
state = open_state(sys.argv[1]).open("stock/0", "v1")
step = 0
while True:
    state.write([(b"%d" % (n % 97), b"%d" % step) for n in range(100)] + [(b"step", b"%d" % step)])
    print(step, flush=True)
    step += 1
"""


class TestRocksState(StateContract):
    """Contract of the port on RocksDB."""

    def make_engine(self, tmp_path: Path) -> StateEngine:
        return open_state(tmp_path)


LOADER = """
import sys
from eventstore.state import open_state
state = open_state(sys.argv[1]).open("stock/0", "v1")
for step in range(1_000_000):
    state.load({b"%d" % (step % 97): b"%d" % step, b"r%d" % step: bytes(20_000), b"step": b"%d" % step})
    if step == 10:
        state.flush()
    print(step, flush=True)
"""


FAILING = """
import resource, sys
from eventstore.state import open_state
from eventstore.state.errors import StateError
engine = open_state(sys.argv[1])
state = engine.open("stock/0", "id")
state.write([(b"a", b"1")])
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1, most))
try:
    state.write([(b"b", bytes(100_000))])
except StateError:
    print("failed")
state.close()
print("closed")
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
state = engine.open("stock/0", "id")
print(state.get(b"a"))
"""


@pytest.fixture
def engine(tmp_path: Path) -> RocksStateEngine:
    return RocksStateEngine(tmp_path)


def start_holder(folder: Path, program: str = HOLDER) -> subprocess.Popen[str]:
    """A process that holds the state and writes on and on."""
    return subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=10)


def filled(engine: RocksStateEngine) -> RocksState:
    state = engine.open("stock/0", "v1")
    state.write([(b"a", b"1")])
    return state


def test_writes_survive_kill_9_whole(tmp_path: Path) -> None:
    """Killed at any moment, every write that returned is there, and each is there as a whole."""
    for _ in range(4):
        process = start_holder(tmp_path)
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(random.randrange(1, 60))]
        end(process)

        state = open_state(tmp_path).open("stock/0", "v1")
        step = int(state.get(b"step") or b"-1")
        rows = {value for _, value in state.scan(b"0", b"a")}
        state.close()

        assert step >= told[-1]
        assert rows == {b"%d" % step}


def test_a_kill_takes_the_last_of_what_was_loaded_and_nothing_before(tmp_path: Path) -> None:
    """What was flushed is there; of what was loaded after it there is all up to some moment, each as a whole."""
    process = start_holder(tmp_path, LOADER)
    assert process.stdout is not None
    told = [int(process.stdout.readline()) for _ in range(2_000)]  # more than fits into memory's share
    end(process)

    state = open_state(tmp_path).open("stock/0", "v1")
    step = int(state.get(b"step") or b"-1")
    large = {int(key[1:]) for key, _ in state.scan(b"r", b"s")}
    last = {int(value) for _, value in state.scan(b"0", b"a")}
    state.close()

    assert 10 <= step <= told[-1] + 1_000
    assert large == set(range(step + 1))
    assert last == set(range(max(0, step - 96), step + 1))


def test_folder_of_a_stopped_neighbour_is_left_alone(tmp_path: Path) -> None:
    """A folder locked for more than a second is not touched: the opener gets a fresh one (K13)."""
    process = start_holder(tmp_path)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGSTOP)

        state = RocksStateEngine(tmp_path).open("stock/0", "v1")

        assert list(state.scan(b"")) == []
        assert state.folder == tmp_path / "stock" / "0~1"
        state.close()
    finally:
        end(process)


def test_folder_is_used_again_when_it_is_free(engine: RocksStateEngine) -> None:
    """Once the lock is free the folder itself serves again, and the stand-in is removed."""
    held = filled(engine)
    spare = RocksStateEngine(engine.root).open("stock/0", "v1")
    spare.close()
    held.close()

    again = engine.open("stock/0", "v1")

    assert again.get(b"a") == b"1"
    assert not spare.folder.exists()
    again.close()


def test_stand_in_starts_empty(engine: RocksStateEngine) -> None:
    """What an earlier stand-in wrote is not served by a later one."""
    held = filled(engine)
    for _ in range(2):
        spare = RocksStateEngine(engine.root).open("stock/0", "v1")
        assert list(spare.scan(b"")) == []
        spare.write([(b"b", b"2")])
        spare.close()
    held.close()


@pytest.mark.parametrize("name", ["CURRENT", "MANIFEST-*", "*.sst"])
def test_corrupt_rows_are_discarded(engine: RocksStateEngine, name: str) -> None:
    """A folder that RocksDB cannot open is emptied and made again."""
    state = filled(engine)
    rows = state.folder / "rows"
    state.close()
    for _ in range(2):  # reopening writes the log's rows to a table
        engine.open("stock/0", "v1").close()
    damaged = list(rows.glob(name))
    for file in damaged:
        file.write_bytes(b"garbage")

    again = engine.open("stock/0", "v1")

    assert damaged
    assert list(again.scan(b"")) == []
    again.write([(b"a", b"2")])
    again.close()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"v": 2, "identity": "v1"}', b"\xff"])
def test_unreadable_identity_discards_the_rows(engine: RocksStateEngine, content: bytes) -> None:
    """An identity file of another format says nothing about the rows."""
    state = filled(engine)
    state.close()
    (state.folder / "identity").write_bytes(content)

    again = engine.open("stock/0", "v1")

    assert list(again.scan(b"")) == []
    again.close()


def test_full_disk_is_named(engine: RocksStateEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be made because the disk is full says so, with what to do."""

    def full(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)

    with pytest.raises(StateDiskFull, match="free space"):
        engine.open("stock/0", "v1")


def test_state_that_cannot_be_written_is_closed(tmp_path: Path) -> None:
    """After a write that failed (a file that may not grow, as on a full disk) closing works, and frees the folder."""
    done = subprocess.run(
        [sys.executable, "-c", FAILING, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if "state_not_flushed" not in line]
    assert told == ["failed", "closed", "b'1'"]


def test_closed_state_says_so(engine: RocksStateEngine) -> None:
    """Reading, writing and scanning a closed state are errors of ours."""
    state = filled(engine)
    scan = state.scan(b"")
    state.close()

    get, write = lambda: state.get(b"a"), lambda: state.write([(b"a", b"1")])
    for use in (get, write, lambda: state.scan(b""), lambda: next(scan)):
        with pytest.raises(StateError, match="closed"):
            use()


@pytest.mark.parametrize("name", ["", "../x", "a//b", "/a", "a~1", "."])
def test_names_stay_below_the_root(engine: RocksStateEngine, name: str) -> None:
    """A name that would leave the root, or look like a stand-in, is refused."""
    with pytest.raises(ValueError, match="no name of a state"):
        engine.open(name, "v1")


def test_wiped_folder_is_made_again(engine: RocksStateEngine) -> None:
    """Nothing needs the folder to be there."""
    filled(engine).close()
    shutil.rmtree(engine.root)

    state = engine.open("stock/0", "v1")

    assert list(state.scan(b"")) == []
    state.close()


@pytest.mark.parametrize("where", ["", "postgres://x", "file:///x"])
def test_other_places_are_refused(where: str) -> None:
    """Only memory:// and folders are places for state."""
    with pytest.raises(ValueError, match="no place for state"):
        open_state(where)


@pytest.mark.parametrize("below", ["", "/deep"])
def test_a_file_in_the_way_of_a_state_is_named(below: str, tmp_path: Path) -> None:
    """No rows are damaged: the path is wrong, and what to do about it is said."""
    (tmp_path / "file").write_text("mine")

    with pytest.raises(StateFolderUnusable, match=rf"{tmp_path}/file is a file: give another folder in state="):
        RocksStateEngine(f"{tmp_path}/file{below}").open("shop/stock/0", "identity")


def test_a_state_folder_that_may_not_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is one that cannot be made."""

    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)

    with pytest.raises(StateFolderUnusable, match=f"may not write {tmp_path}/x/0: give it the permission"):
        RocksStateEngine(tmp_path).open("x/0", "identity")
