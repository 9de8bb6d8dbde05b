"""The errors of state folders. They hold nothing that the log does not: nothing is lost by any of these.

::

    StateError
    ├── StateFolderUnusable       the path given for the state cannot be a folder
    ├── StateCorrupt              the state folder cannot be read: damaged rows are rebuilt
    ├── StateUndecodable          this code cannot read a state that the log keeps
    ├── RowDamaged                see `eventstore.processor.row_layout`
    └── StateDiskFull             the state folder's disk is full
"""

from __future__ import annotations

from eventstore.errors import EventStoreError


class StateError(EventStoreError):
    """A state folder could not be used. It holds nothing that the log does not."""


class StateFolderUnusable(StateError):
    """The path given for the state cannot be a folder: correct `state=`, or the permissions."""

    def __init__(self, folder: str, why: str) -> None:
        super().__init__(f"the state folder {folder} cannot be used: {why}")
        self.folder, self.why = folder, why


class StateCorrupt(StateError):
    """The state folder cannot be read. Damaged rows are made again of the log; what else stands in the way, delete."""

    def __init__(self, folder: str, why: str) -> None:
        super().__init__(
            f"{folder} cannot be read ({why}): damaged rows are made again from the log, at once if they are served; "
            f"if it stays or comes again, look at the disk, and delete the folder"
        )
        self.folder, self.why = folder, why


class StateUndecodable(StateError):
    """This code cannot read the state of a key. Nothing is lost: the log has it, and its inputs wait."""

    def __init__(self, processor: str, key: str, why: str) -> None:
        super().__init__(
            f"the state of {key!r} of {processor} cannot be read ({why}): go back to the code that wrote it, or give a "
            f"changed field another name and raise version="
        )
        self.processor, self.key, self.why = processor, key, why


class StateDiskFull(StateError):
    """The state folder's disk is full: free space; the partition goes on where the log stands."""

    is_retryable = True

    def __init__(self, folder: str) -> None:
        super().__init__(f"the disk of {folder} is full: free space and start again, nothing is lost")
        self.folder = folder
