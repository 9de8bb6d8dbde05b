"""What a misspelt name may have meant. Errors end in it: it is the shortest way to the line to change."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches


def nearest(given: str, known: Collection[str]) -> str:
    """The known name that is spelt most like the given one; empty if none is."""
    close = get_close_matches(given, sorted(known), n=1, cutoff=0.5)
    return close[0] if close else ""


def keyword_hint(given: str, known: Collection[str]) -> str:
    """`did you mean undo=?`, or all that there is."""
    close = nearest(given, known)
    return f"did you mean {close}=?" if close else f"it takes {', '.join(f'{each}=' for each in known)}"
