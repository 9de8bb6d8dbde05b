"""The state port: sorted bytes per partition, written atomically (rule K13).

State holds nothing that the log does not: it may be lost at any time. Two engines implement it, RocksDB
(`eventstore.state.rocks`) and dictionaries (`eventstore.state.memory`); `eventstore.testing.state` holds their
contract.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias

Row: TypeAlias = tuple[bytes, bytes | None]
"""A key and its new value; None deletes."""


class State(Protocol):
    """Sorted rows of one partition. One thread writes; any thread may read while it is open."""

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        ...

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of many keys, in their order."""
        ...

    def write(self, rows: Sequence[Row]) -> None:
        """Write all rows or none; the last row of a key wins. Survives kill −9 of the process.

        Raises:
            StateDiskFull: nothing was written.
        """
        ...

    def load(self, rows: Mapping[bytes, bytes | None]) -> None:
        """Write all rows or none, faster than `write`: a kill may take what was loaded last, but nothing before it.

        Call `flush` before the next `write`.

        Raises:
            StateDiskFull: nothing was written.
        """
        ...

    def flush(self) -> None:
        """What was loaded survives kill −9 of the process from now on.

        Raises:
            StateDiskFull: it does not.
        """
        ...

    def scan(self, start: bytes, end: bytes | None = None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Rows with start ≤ key < end, in key order or against it. `end` None: to the last key.

        Raises:
            StateCorrupt: a row cannot be read; then no other follows it.
        """
        ...

    def check(self) -> None:
        """Ask whether rows could be read so far, in whatever thread: once is too often, as others would be missed too.

        Raises:
            StateCorrupt: some could not, nor will any be written. Who opens the state anew starts with none.
        """
        ...

    def close(self) -> None:
        """Release the lock. What was written stays."""
        ...


class StateEngine(Protocol):
    """Opens the state of partitions, by name."""

    def open(self, name: str, identity: str) -> State:
        """Open the state `name` (such as `stock/3`), empty if there is none that fits.

        `identity` says what the rows were derived from (format, topic ids). State of another identity is discarded, and
        so is what cannot be read. State locked by another process for more than 1 s is left alone: the opener gets a
        fresh one.

        Raises:
            StateDiskFull: the folder cannot be made.
        """
        ...

    def discard(self, name: str) -> None:
        """Delete the state, which is not open. A missing one is ignored."""
        ...
