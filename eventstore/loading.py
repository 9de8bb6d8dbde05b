"""Fold a stream into an aggregate."""

from __future__ import annotations

from contextlib import aclosing
from datetime import datetime
from itertools import takewhile
from typing import Any, TypeVar, cast

from eventstore.aggregate import Aggregate, processor_of
from eventstore.reading import Bounds, Streams
from eventstore.streams import Recorded, check_stream_id

A = TypeVar("A", bound=Aggregate[Any])


async def load(streams: Streams[Any], aggregate: type[A], stream: str, as_of: int | datetime | None) -> A:
    """The aggregate as of a version, an instant, or now; its defaults if there is no stream."""
    check_stream_id(stream)
    if isinstance(as_of, datetime) and as_of.tzinfo is None:
        raise ValueError(f"as_of={as_of!r} has no time zone: give an aware datetime")
    processor = processor_of(aggregate)
    state: Any = processor.initial(stream)
    async with aclosing(streams.pages(stream, Bounds(until=as_of if isinstance(as_of, int) else None))) as pages:
        async for page in pages:
            events = _until(page, as_of) if isinstance(as_of, datetime) else page
            for recorded in events:
                processor.evolve(state, recorded.event)
            if len(events) < len(page):
                break
    return cast("A", state)


def _until(page: list[Recorded[Any]], instant: datetime) -> list[Recorded[Any]]:
    return list(takewhile(lambda recorded: recorded.timestamp <= instant, page))
