"""What commands print: text for people, JSON for programs, errors in one line."""

from __future__ import annotations

import json as codec
import sys
from collections.abc import Mapping


def show(facts: Mapping[str, object], text: str, *, json: bool) -> None:
    """Print the text, or the facts as one JSON object on one line."""
    print(codec.dumps(facts) if json else text, flush=True)


def progress(message: str) -> None:
    """Say on standard error what takes a while."""
    print(f"… {message}", file=sys.stderr, flush=True)


def explain(message: str, code: int) -> int:
    """Say in one line on standard error why the command failed; return the exit code."""
    print("sagalog: " + " ".join(message.split()), file=sys.stderr, flush=True)
    return code
