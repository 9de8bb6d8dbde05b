"""A state engine that remembers what was opened and discarded."""

from __future__ import annotations

from eventstore.state.memory import MemoryState, MemoryStateEngine


class WatchedState(MemoryStateEngine):
    """In memory."""

    def __init__(self) -> None:
        super().__init__()
        self.identities: dict[str, str] = {}
        """The identity under which each was opened last."""
        self.discarded: list[str] = []

    def open(self, name: str, identity: str) -> MemoryState:
        self.identities[name] = identity
        return super().open(name, identity)

    def discard(self, name: str) -> None:
        self.discarded.append(name)
        super().discard(name)
