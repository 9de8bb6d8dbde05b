"""What a decoder under test is: a name, bytes that it reads, and the errors by which it says that others are none."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import strategies as st

BARE: frozenset[type[BaseException]] = frozenset(
    {
        Exception, KeyError, IndexError, LookupError, AttributeError, TypeError, AssertionError, RecursionError,
        MemoryError, OverflowError, EOFError, UnicodeDecodeError, UnicodeEncodeError, UnicodeError, struct.error,
    }
)  # fmt: skip
"""What says nothing to whoever reads it."""


@dataclass(frozen=True, slots=True)
class Decoder:
    """A function that is given bytes from a disk or a network."""

    name: str
    decode: Callable[[bytes], object] = field(repr=False)
    valid: st.SearchStrategy[bytes] = field(repr=False)
    """What it reads."""
    errors: tuple[type[Exception], ...] = ()
    """What it may raise for other bytes. None: it takes everything."""
    weight: float = 1.0
    """Of the usual number of examples; less for a slow one."""

    def try_on(self, data: bytes) -> bool:
        """Whether these bytes are read. Fails if the decoder does."""
        try:
            self.decode(data)
        except self.errors as error:
            named = error
        else:
            return True
        assert type(named) not in BARE, f"{self.name}: {type(named).__name__} is no named error"
        assert str(named).strip(), f"{self.name}: {type(named).__name__} says nothing"
        return False


def of_text(decode: Callable[[str], object]) -> Callable[[bytes], object]:
    """A decoder of texts: any bytes make one."""
    return lambda data: decode(data.decode("utf-8", "surrogateescape"))
