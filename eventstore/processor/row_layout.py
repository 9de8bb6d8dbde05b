"""The fixed part that the values of rows begin with: the version byte 1, then integers, big-endian.

What is not written like that is damaged, and named so, whoever reads it: nobody goes on with a wrong number.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial

from eventstore.state.errors import StateError

VERSION = 1


class RowDamaged(StateError):
    """A row is not as it was written. Stop the service and delete the state folder: it is rebuilt from the log."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(
            f"the state holds {what} that cannot be read ({why}): stop the service and delete its state folder, it is "
            f"rebuilt from the log; if it happens again, look at the disk and at who writes to the topics"
        )
        self.what, self.why = what, why


class RowLayout:
    """The integers that a kind of row begins with."""

    def __init__(self, what: str, fields: str) -> None:
        """`fields`: as `struct` has them, without the version byte."""
        self._what, self._struct = what, struct.Struct(f">B{fields}")
        self.size = self._struct.size
        """Bytes, the version byte included."""
        self.packed: Callable[..., bytes] = partial(self._struct.pack, VERSION)
        """As `pack`, for loops: a number that is too large is a `struct.error`."""

    def pack(self, *fields: int) -> bytes:
        """The fixed part.

        Raises:
            RowDamaged: a number is too large, because what it was read from is damaged.
        """
        try:
            return self._struct.pack(VERSION, *fields)
        except struct.error as error:
            raise RowDamaged(self._what, f"{fields} are not its numbers") from error

    def begin(self, value: bytes) -> tuple[int, ...]:
        """The integers that a value begins with; what follows them is the caller's.

        Raises:
            RowDamaged: it does not, or is of another version.
        """
        try:
            version, *fields = self._struct.unpack_from(value)
        except struct.error as error:
            raise RowDamaged(self._what, f"it has {len(value)} bytes") from error
        if version != VERSION:
            raise RowDamaged(self._what, f"its version is {version}, this program knows {VERSION}")
        return tuple(fields)

    def whole(self, value: bytes) -> tuple[int, ...]:
        """The integers that a value is.

        Raises:
            RowDamaged: it has more or less, or is of another version.
        """
        fields = self.begin(value)
        if len(value) != self.size:
            raise RowDamaged(self._what, f"it has {len(value)} bytes")
        return fields

    def text(self, raw: bytes) -> str:
        """A text in such a row or its key.

        Raises:
            RowDamaged: it is no UTF-8.
        """
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise RowDamaged(self._what, "a text in it is no UTF-8") from error
