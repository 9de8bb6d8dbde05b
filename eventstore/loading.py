"""Fold a stream into an aggregate."""

from __future__ import annotations

from contextlib import aclosing
from datetime import datetime
from typing import Any, TypeVar, cast

from eventstore.aggregate import Aggregate, processor_of
from eventstore.bounds import Bounds
from eventstore.reading import Streams
from eventstore.streams import check_stream_id

A = TypeVar("A", bound=Aggregate[Any])


async def load(
    streams: Streams[Any], aggregate: type[A], stream: str, as_of: int | datetime | None, *, consistent: bool = False
) -> A:
    """The aggregate as of a version, an instant, or now; its defaults if there is no stream."""
    check_stream_id(stream)
    processor = processor_of(aggregate)
    state: Any = processor.initial(stream)
    pages = streams.pages(stream, Bounds.of(as_of=as_of), streams.decode, consistent=consistent)
    async with aclosing(pages):
        async for events in pages:
            for event in events:
                processor.evolve(state, event)
    return cast("A", state)
