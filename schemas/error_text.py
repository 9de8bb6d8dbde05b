"""The text of an exception that a user's code raised, fit for a record, an answer and a log."""

from __future__ import annotations


def error_text(error: BaseException) -> str:
    """What it says; never raises, and can always be written in UTF-8.

    A lone surrogate, as in the name of a file that is no UTF-8, stands there as in Python's source: `\\udcff`. Of an
    exception whose `__str__` fails it is said with what.
    """
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001 - a `__str__` is a user's too
        text = f"(no text: its __str__ raised {type(broken).__name__})"
    return text.encode(errors="backslashreplace").decode()


def error_reason(error: BaseException) -> str:
    """Its class and what it says: `KeyError: 'city'`; of one that says nothing its class."""
    text = error_text(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
