"""Commits of a unit that end badly (K6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from eventstore.log.errors import OutcomeUnknown, TransactionAborted
from tests.eventstore.processor.counters import Bench


def abort_next(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[TransactionAborted]:
    """Of the unit's next commit nothing happens. Returns what is still to be raised."""
    transactor: Any = bench.unit._commits.transactor
    real, failures = transactor.commit, [TransactionAborted("injected")]

    def commit(positions: object, member: object, meanwhile: Callable[[], None]) -> object:
        if failures:
            meanwhile()  # as on Kafka, where it is done by then
            transactor.abort()
            raise failures.pop()
        return real(positions, member, meanwhile)

    monkeypatch.setattr(transactor, "commit", commit)
    return failures


def end_unknown(bench: Bench, monkeypatch: pytest.MonkeyPatch, *, happened: bool) -> None:
    """The unit is not told how its commits end, until it has replaced its transactor."""
    transactor: Any = bench.unit._commits.transactor
    real = transactor.commit

    def commit(*what: object) -> object:
        if happened:
            real(*what)
        raise OutcomeUnknown("injected")

    monkeypatch.setattr(transactor, "commit", commit)
