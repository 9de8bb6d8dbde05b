"""The state of partitions: the port and its engines.

`open_state("memory://")` keeps rows in dictionaries, `open_state("/data/state")` in RocksDB folders below that folder.
"""

from __future__ import annotations

from pathlib import Path

from eventstore.state.port import Row, State, StateEngine

__all__ = ["Row", "State", "StateEngine", "open_state"]


def open_state(where: str | Path) -> StateEngine:
    """The engine for a folder, or for `memory://`.

    Raises:
        ValueError: another URL, or no folder.
    """
    if where == "memory://":
        from eventstore.state.memory import MemoryStateEngine

        return MemoryStateEngine()
    if not str(where) or "://" in str(where):
        raise ValueError(f"{where!r} is no place for state: give memory:// or a folder")
    from eventstore.state.rocks import RocksStateEngine

    return RocksStateEngine(where)
