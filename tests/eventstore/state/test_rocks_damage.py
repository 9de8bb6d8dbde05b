"""K13: rows that RocksDB cannot read are never taken for rows that are not there, and the folder is made again."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from eventstore.state.errors import StateCorrupt
from eventstore.state.rocks import RocksState, RocksStateEngine
from tests.damage import flip_a_bit

ROWS = {b"%05d" % number: random.Random(number).randbytes(100) for number in range(2_000)}


@pytest.fixture
def damaged(tmp_path: Path) -> RocksState:
    """A state whose folder opens, with a table that cannot be read in the middle."""
    engine = RocksStateEngine(tmp_path)
    state = engine.open("stock/0", "v1")
    state.load(ROWS)
    state.flush()
    state.close()
    assert flip_a_bit(tmp_path)
    return engine.open("stock/0", "v1")


@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_never_ends_early(damaged: RocksState, reverse: bool) -> None:
    """What comes before the damage is right, and then it is named."""
    found = list[tuple[bytes, bytes]]()
    with pytest.raises(StateCorrupt, match="block checksum mismatch"):
        found.extend(damaged.scan(b"", reverse=reverse))
    damaged.close()

    wanted = sorted(ROWS.items(), reverse=reverse)
    with pytest.raises(StateCorrupt):
        damaged.check()
    assert found == wanted[: len(found)]


def test_a_key_that_cannot_be_read_is_not_missing(damaged: RocksState) -> None:
    """One by one, and many at once."""
    with pytest.raises(StateCorrupt, match="block checksum mismatch"):
        [damaged.get(key) for key in ROWS]
    with pytest.raises(StateCorrupt, match="block checksum mismatch"):
        damaged.get_many(list(ROWS))
    damaged.close()


def test_who_opens_damaged_rows_anew_starts_over(damaged: RocksState, tmp_path: Path) -> None:
    """Found by a reader: nothing more is written, and the next one has an empty folder, not the damaged one again."""
    damaged.check()
    with pytest.raises(StateCorrupt):
        list(damaged.scan(b""))
    for refused in (damaged.check, lambda: damaged.write([(b"a", b"1")])):
        with pytest.raises(StateCorrupt):
            refused()
    damaged.close()

    again = RocksStateEngine(tmp_path).open("stock/0", "v1")
    assert list(again.scan(b"")) == []
    again.write([(b"a", b"1")])
    again.close()
    kept = RocksStateEngine(tmp_path).open("stock/0", "v1")
    assert list(kept.scan(b"")) == [(b"a", b"1")]
    kept.close()


@pytest.mark.parametrize("name", ["rows", "identity"])
def test_something_else_in_the_place_of_rows_is_removed(name: str, tmp_path: Path) -> None:
    """A file where a folder belongs, and the other way round."""
    engine = RocksStateEngine(tmp_path)
    state = engine.open("stock/0", "v1")
    state.close()
    place = state.folder / name
    if name == "rows":
        for path in place.iterdir():
            path.unlink()
        place.rmdir()
        place.write_text("mine")
    else:
        place.unlink()
        place.mkdir()

    again = engine.open("stock/0", "v1")

    again.write([(b"a", b"1")])
    assert again.get(b"a") == b"1"
    again.close()
