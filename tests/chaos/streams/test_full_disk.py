"""Where nothing may be mounted, a full disk is played by the state engine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eventstore.state import open_state
from eventstore.state.errors import StateDiskFull
from tests.chaos.streams.full_disk import Disk, LimitedState


def test_without_root_a_full_disk_refuses_writes_until_it_is_freed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written and nothing opened meanwhile; afterwards everything works again."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    disk = Disk(tmp_path / "disk")
    engine = LimitedState(open_state("memory://"), disk.folder / "state")
    state = engine.open("stock/0", "id")
    assert not disk.is_real

    disk.fill()
    with pytest.raises(StateDiskFull):
        state.write([(b"a", b"1")])
    with pytest.raises(StateDiskFull):
        engine.open("stock/1", "id")
    assert state.get(b"a") is None

    disk.free()
    state.write([(b"a", b"1")])
    assert state.get(b"a") == b"1"
