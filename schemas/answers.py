"""Answers that no user declares: the wire form of a reply None, and of a decision that failed."""

from __future__ import annotations

from schemas.messages import Message, Reply


class Nothing(Reply, name="sagalog.nothing"):
    """The wire form of the reply None: done, and nothing to say."""


class Failure(Message, name="sagalog.failure"):
    """The answer when deciding failed. It is no refusal: whether something happened depends on `final`."""

    error: str
    """The class of the error."""
    detail: str = ""
    """What it said."""
    final: bool = False
    """Whether a repeat under the same id gets the same answer."""
