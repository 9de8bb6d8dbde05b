"""Acknowledge records out of order (rule W4).

One `Acknowledgements` per partition knows which delivered records are incomplete. What is committed is the lowest
incomplete offset, with a map of what beyond it is incomplete as the position's metadata, so that a successor runs
nothing again that was completed.

The map is ASCII text of at most 4,095 characters, numbers in base 36, the version first::

    1;<span>;<run>,<run>,…        run = <gap>[:<length − 1>]

`span` is how far beyond the position the map speaks: at positions from `position` to `position + span`, exactly the
offsets of the runs are incomplete. A run is `gap` offsets after the end of the one before (the first: after the
position) and `length` offsets long. A map that would be longer is cut: it speaks of less, and a successor repeats
what lies beyond.

Offsets need not be dense. Promised: what was not completed is never taken as complete. Not promised: that nothing is
repeated.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from consumers.errors import BadAcknowledgement
from eventstore.log.records import Position

VERSION = "1"
METADATA_LIMIT = 4_095
INCOMPLETE_LIMIT = 10_000_000
"""More records than any worker has under way."""
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Acknowledgements:
    """What was delivered of one partition, and what of it is not complete. Used by one thread."""

    def __init__(self, position: Position) -> None:
        """Go on from a committed position.

        Raises:
            BadAcknowledgement: its metadata is no map.
        """
        span, incomplete = decode(position.metadata)
        self.next = position.offset
        """The next offset to be delivered."""
        self._known_until = position.offset + span
        self._known_incomplete = [position.offset + distance for distance in incomplete]
        self._incomplete: dict[int, None] = {}
        self.is_changed = False
        """Whether `position()` may differ from what was last committed."""

    def __len__(self) -> int:
        """How many delivered records are incomplete."""
        return len(self._incomplete)

    def is_complete(self, offset: int) -> bool:
        """Whether a predecessor completed the record, so that it must not run again."""
        if offset >= self._known_until:
            return False
        at = bisect_left(self._known_incomplete, offset)
        return at == len(self._known_incomplete) or self._known_incomplete[at] != offset

    def delivered(self, offset: int) -> None:
        """A record was delivered and is to be completed."""
        self._incomplete[offset] = None
        self.next = offset + 1
        self.is_changed = True

    def passed(self, offset: int) -> None:
        """A record was delivered that needs no work."""
        self.next = offset + 1
        self.is_changed = True

    def completed(self, offset: int) -> None:
        """A delivered record is complete."""
        del self._incomplete[offset]
        self.is_changed = True

    def position(self) -> Position:
        """What to commit now."""
        lowest = next(iter(self._incomplete), self.next)
        ahead = self._known_incomplete[bisect_left(self._known_incomplete, self.next) :]
        until = max(self.next, self._known_until)
        if until == lowest:
            return Position(lowest)
        return Position(lowest, encode(until - lowest, self._distances(lowest, ahead)))

    def _distances(self, lowest: int, ahead: list[int]) -> Iterator[int]:
        for offset in self._incomplete:
            yield offset - lowest
        for offset in ahead:
            yield offset - lowest


def encode(span: int, incomplete: Iterable[int], limit: int = METADATA_LIMIT) -> str:
    """The map of a span: `incomplete` are distances from the position, ascending."""
    reserve = len(VERSION) + len(_base36(span)) + 2
    tokens: list[str] = []
    room, end = limit - reserve, 0
    for start, length in _runs(incomplete):
        token = _base36(start - end) + (f":{_base36(length - 1)}" if length > 1 else "")
        room -= len(token) + 1
        if room < 0:
            return f"{VERSION};{_base36(start)};{','.join(tokens)}"
        tokens.append(token)
        end = start + length
    return f"{VERSION};{_base36(span)};{','.join(tokens)}"


def decode(metadata: str) -> tuple[int, list[int]]:
    """The span of a map and the distances of what is incomplete in it; no metadata is a span of 0.

    Raises:
        BadAcknowledgement: it is no map of a known version.
    """
    if not metadata:
        return 0, []
    version, _, rest = metadata.partition(";")
    if version != VERSION:
        raise BadAcknowledgement(metadata, f"it begins with version {version[:8]!r}, known is {VERSION}")
    try:
        distance, tokens = rest.split(";")
        span = _number(distance)
        return span, list(_expand(tokens, span))
    except ValueError as error:
        raise BadAcknowledgement(metadata, str(error)) from error


def _runs(offsets: Iterable[int]) -> Iterator[tuple[int, int]]:
    start = length = 0
    for offset in offsets:
        if length and offset == start + length:
            length += 1
            continue
        if length:
            yield start, length
        start, length = offset, 1
    if length:
        yield start, length


def _expand(tokens: str, span: int) -> Iterator[int]:
    end = room = 0
    for token in tokens.split(",") if tokens else ():
        gap, colon, more = token.partition(":")
        start = end + _number(gap)
        end = start + 1 + (_number(more) if colon else 0)
        room += end - start
        if end > span:
            raise ValueError(f"a run ends at {end}, the map speaks of {span}")
        if room > INCOMPLETE_LIMIT:
            raise ValueError(f"more than {INCOMPLETE_LIMIT:,} records are incomplete")
        yield from range(start, end)


def _number(text: str) -> int:
    if not text or text.strip(_DIGITS):
        raise ValueError(f"{text[:20]!r} is no number in base 36")
    return int(text, 36)


def _base36(number: int) -> str:
    digits = ""
    while number >= 36:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return _DIGITS[number] + digits
