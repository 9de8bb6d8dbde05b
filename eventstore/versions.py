"""Versions: the numbers of a stream's events, from 0 to 2⁶³ − 1, as the log and the local index hold them.

A number that bounds a *read* may lie outside: it means the nearest bound that there is, so that all ways of reading
show the same. A number that a *write* names must be a version: nothing is guessed of what changes a stream.
"""

from __future__ import annotations

from typing import Final

LAST_VERSION: Final = 2**63 - 1
"""The greatest number that a version can be."""


def within_versions(bound: int) -> int:
    """The nearest bound of a read: −1 is before the first event."""
    return max(-1, min(bound, LAST_VERSION))


def is_version(number: object, *, least: int = 0) -> bool:
    """Whether a number, and no truth value, lies within the versions from `least` on."""
    return type(number) is int and least <= number <= LAST_VERSION


def check_first_kept(stream: str, before: object) -> None:
    """Refuse what is no version to truncate a stream before.

    Raises:
        ValueError: it is none.
    """
    if not is_version(before):
        give = "give that of the first event to keep, from 0 to 2**63 - 1"
        raise ValueError(f"{stream}: before={before!r} is no version: {give}")
