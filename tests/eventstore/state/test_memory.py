"""The dictionary engine keeps the state port's contract."""

from __future__ import annotations

from pathlib import Path

from eventstore.state import StateEngine, open_state
from eventstore.testing.state import StateContract


class TestMemoryState(StateContract):
    """Contract of the port on dictionaries."""

    def make_engine(self, tmp_path: Path) -> StateEngine:
        return open_state("memory://")
