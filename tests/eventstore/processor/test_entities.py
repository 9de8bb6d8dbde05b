"""Entities that are not decoded yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from eventstore.processor.index import StoredEvent, StreamIndex
from tests.eventstore.processor.counters import Add, Bench, Total


def test_nobody_looks_for_events_of_an_entity_that_has_none(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look takes longer than most decisions, and writes what was to be written later, together with more."""
    looks, rows = list[str](), StreamIndex.rows

    def counted(index: StreamIndex, stream: str, *which: Any) -> Iterator[StoredEvent]:
        looks.append(stream)
        return rows(index, stream, *which)

    monkeypatch.setattr(StreamIndex, "rows", counted)

    for by in (1, 2):
        assert bench.ask(Add(counter="new", by=by)) == Total(is_=1 if by == 1 else 3)
    assert looks == []
    for partition in bench.unit._served.partitions.values():
        partition._entities.forget("new")  # as if it had not been used for long
    assert bench.ask(Add(counter="new", by=4)) == Total(is_=7)
    assert looks == ["new"]
