"""Fold a stream into an aggregate, from its snapshot on if it has one (E3).

A load that folded as much as the aggregate's policy says offers what came of it to the owner of the stream's partition,
and waits for it to be kept: so each event is folded once by those who load, and not at all by who appends.
"""

from __future__ import annotations

from contextlib import aclosing
from datetime import datetime
from typing import Any, TypeVar, cast

import structlog

from eventstore.aggregate import Aggregate, processor_of
from eventstore.aggregate_processor import revived
from eventstore.bounds import Bounds
from eventstore.processor.index import StoredEvent
from eventstore.processor.pages import ErasedMeanwhile
from eventstore.processor.snapshots import NotTaken, Snapshot, Wanted
from eventstore.processor.snapshotting import OfferSnapshot, fits
from eventstore.reading import Streams
from eventstore.streams import check_stream_id
from schemas.error_text import error_reason, error_text

A = TypeVar("A", bound=Aggregate[Any])
log = structlog.get_logger()


async def load(
    streams: Streams[Any], aggregate: type[A], stream: str, as_of: int | datetime | None, *, consistent: bool = False
) -> A:
    """The aggregate as of a version, an instant, or now; its defaults if there is no stream."""
    check_stream_id(stream)
    bounds = Bounds.of(as_of=as_of)
    while True:
        fold = Fold(streams, aggregate, stream, can_begin=not isinstance(as_of, datetime))
        if await fold.run(bounds, consistent=consistent):
            break
    if as_of is None:
        await fold.offer()
    return cast("A", fold.state)


class Fold:
    """One fold of a stream."""

    def __init__(self, streams: Streams[Any], aggregate: type[Aggregate[Any]], stream: str, *, can_begin: bool) -> None:
        """`can_begin`: whether at a snapshot."""
        self._streams, self._stream = streams, stream
        self._processor = processor_of(aggregate)
        self._form = self._processor.snapshots
        self.state: Any = self._processor.initial(stream)
        self._began_after, self._version = -1, -1
        self._began = streams.monotonic()
        self.wanted = Wanted(self._form.name, self._form.fingerprint) if self._form and can_begin else None

    def begin(self, snapshot: Snapshot) -> bool:
        """Go on from a snapshot. False: it cannot be read."""
        assert self._form is not None, "only then is one wanted"
        try:
            self.state = self._form.decode(self._stream, snapshot.version, snapshot.state)
        except Exception as error:  # noqa: BLE001 - whatever a validator of the state raises: the events say the same
            log.warning("snapshot_ignored", aggregate=self._form.name, key=self._stream, reason=error_text(error)[:500])
            return False
        self._began_after = self._version = snapshot.version
        return True

    async def run(self, bounds: Bounds, *, consistent: bool) -> bool:
        """Fold. False: events went from under it, so what came of it never was."""
        make, evolve = self._decoded, self._processor.evolve
        pages = self._streams.pages(
            self._stream, bounds, make, consistent=consistent, beginning=self, is_whole=True
        )  # fmt: skip
        try:
            async with aclosing(pages):
                async for rows in pages:
                    if rows[0][0] > self._version + 1 and self._version >= 0:
                        return False
                    for _, event in rows:
                        evolve(self.state, event)
                    self._version = rows[-1][0]
        except ErasedMeanwhile:
            return False
        revived(self.state, self._stream, self._version)
        return True

    async def offer(self) -> None:
        """Have the snapshot kept, if one is due."""
        form, version = self._form, self._version
        if form is None or version <= self._began_after:
            return
        seconds = self._streams.monotonic() - self._began
        if version < form.policy.due_at(self._began_after, version, seconds):
            return
        data = self._encoded()
        if data is not None:
            offer = OfferSnapshot(aggregate=form.name, version=version, fingerprint=form.fingerprint, state=data)
            await self._streams.offer(self._stream, offer)

    def _encoded(self) -> bytes | None:
        form = self._form
        assert form is not None, "asked before"
        try:
            data = form.encode(self.state)
        except Exception as error:  # noqa: BLE001 - whatever a serializer of the state raises: the load stands
            return self._not_taken(form.name, NotTaken.NOT_EXACT, error_reason(error))
        if fits(self._stream, data, self._streams.record_bytes):
            return data
        return self._not_taken(form.name, NotTaken.TOO_LARGE, f"{len(data)} bytes")

    def _not_taken(self, name: str, why: NotTaken, detail: str) -> bytes | None:
        log.warning("snapshot_not_taken", aggregate=name, key=self._stream, reason=why.value, detail=detail[:500])
        return None

    def _decoded(self, row: StoredEvent) -> tuple[int, Any]:
        return row.version, self._streams.decode(row)
