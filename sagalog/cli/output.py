"""What commands print: text for people, JSON for programs, errors in one line."""

from __future__ import annotations

import json as codec
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.table import Table

FIRST_SECONDS = 1.0
"""Work that is done sooner shows no progress."""
BETWEEN_SECONDS = 0.2
UNLIMITED = 100_000
"""Columns; a table takes as many as it needs."""


def show(facts: Mapping[str, object], text: str, *, json: bool) -> None:
    """Print the text, or the facts as one JSON object on one line."""
    print(codec.dumps(facts) if json else text, flush=True)


def progress(message: str) -> None:
    """Say on standard error what takes a while."""
    print(f"… {message}", file=sys.stderr, flush=True)


def explain(message: str, code: int) -> int:
    """Say in one line on standard error why the command failed; return the exit code."""
    line = "sagalog: " + " ".join(message.split())
    print(line.encode(errors="backslashreplace").decode(), file=sys.stderr, flush=True)
    return code


class Counter:
    """Shows on standard error how far long work is: one line that is overwritten, on a terminal only."""

    def __init__(self, what: str) -> None:
        self._what, self._count, self._shown = what, 0, False
        self._next = time.monotonic() + FIRST_SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def add(self, count: int) -> None:
        """So many more are done."""
        self._count += count
        now = time.monotonic()
        if now >= self._next and sys.stderr.isatty():
            self._next, self._shown = now + BETWEEN_SECONDS, True
            print(f"\r… {self._count:,} {self._what}", end="", file=sys.stderr, flush=True)


def text_of(table: Table) -> str:
    """A table as text, as wide as the terminal; without one as wide as its content, so that nothing is cut."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = UNLIMITED
    with console.capture() as captured:
        console.print(table)
    return captured.get().rstrip("\n")
