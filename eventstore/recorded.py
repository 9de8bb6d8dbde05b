"""Make recorded events of what the index and the topic hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from eventstore.processor.index import StoredEvent
from eventstore.streams import Position, Recorded
from schemas import Metadata, Serde

_NOTHING = Position()


def recorded(stored: StoredEvent, stream: str, position: Position, serde: Serde) -> Recorded[Any]:
    """The event, decoded."""
    event, metadata = cast("Any", serde.decode(stored.value)), Metadata.decode(stored.meta)
    instant = datetime.fromtimestamp(stored.timestamp_ms / 1000, UTC)
    return Recorded(event, stored.version, stream, metadata, instant, position)


def position_after(stored: StoredEvent, partition: int, generation: str) -> Position:
    """After this event, in its partition; nowhere if it is not known where it stands."""
    return _NOTHING if stored.offset < 0 else Position.at(partition, stored.offset + 1, generation)
