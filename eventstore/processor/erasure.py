"""What is erased of a stream (E2).

The record in the state topic *is* the deletion: it is committed with the outcome of the input that asked for it, and
from then on the events below `first` do not exist for readers, whatever the events topic still holds. Tombstones for
their keys follow in batches (`eventstore.processor.tombstones`); `done` says how far they were written. The record is
never removed, for it also keeps the stream's head when all its events are gone: versions are not used again.

Row and record, integers big-endian:

    b"s" stream-bytes    ->  1 step:u64 first:u64 head:u64 done:u64

`first`: the first version that is kept; a stream whose head lies below it is deleted. `head`: the version of the
stream's last event when this was written. `done`: tombstones are written for all versions below it.
"""

from __future__ import annotations

from typing import NamedTuple

from eventstore.processor.row_layout import RowLayout

PREFIX = b"s"
_ERASED = RowLayout("what is erased of a stream", "QQQQ")


class Erasure(NamedTuple):
    """How much of a stream is erased, and how much of that is tombstoned."""

    step: int = 0
    first: int = 0
    head: int = 0
    done: int = 0


NOTHING_ERASED = Erasure()


def erasure_key(stream: bytes) -> bytes:
    """Where it is kept what is erased of a stream."""
    return PREFIX + stream


def encode_erasure(erased: Erasure) -> bytes:
    """The row's value."""
    return _ERASED.pack(*erased)


def decode_erasure(value: bytes) -> Erasure:
    """What `encode_erasure` was given.

    Raises:
        RowDamaged: it is none.
    """
    return Erasure(*_ERASED.whole(value))
