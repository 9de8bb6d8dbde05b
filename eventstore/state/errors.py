"""The errors of state folders. They hold nothing that the log does not: nothing is lost by any of these.

::

    StateError
    ├── StateCorrupt              the state folder cannot be read: delete it, it is rebuilt
    └── StateDiskFull             the state folder's disk is full
"""

from __future__ import annotations

from eventstore.errors import EventStoreError


class StateError(EventStoreError):
    """A state folder could not be used. It holds nothing that the log does not."""


class StateCorrupt(StateError):
    """The state folder cannot be read. Delete it: it is rebuilt from the log."""

    def __init__(self, folder: str, why: str) -> None:
        super().__init__(f"{folder} cannot be read ({why}): delete it, it is rebuilt from the log")
        self.folder, self.why = folder, why


class StateDiskFull(StateError):
    """The state folder's disk is full: free space; the partition goes on where the log stands."""

    is_retryable = True

    def __init__(self, folder: str) -> None:
        super().__init__(f"the disk of {folder} is full: free space and start again, nothing is lost")
        self.folder = folder
