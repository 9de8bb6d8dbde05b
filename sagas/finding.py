"""Find the sagas of a log: the names under which any ever ran."""

from __future__ import annotations

from eventstore.log.port import Log, TopicPartition
from eventstore.processor.topics import events_of, inbox_of
from sagas.history import EVENTS
from schemas import SchemaError, Serde

READ_SECONDS = 2.0
_NAMES = frozenset(event.__type_name__ for event in EVENTS)


def saga_names(log: Log, serde: Serde) -> list[str]:
    """The names of sagas, sorted: their events topics begin with an event of a saga."""
    topics = log.describe()
    stems = [name.removesuffix(events_of("")) for name in topics if name.endswith(events_of(""))]
    places = {
        stem: [TopicPartition(events_of(stem), number) for number in range(topics[events_of(stem)].partitions)]
        for stem in stems
        if inbox_of(stem) in topics
    }
    return sorted(stem for stem, own in places.items() if _holds_sagas(log, serde, own))


def _holds_sagas(log: Log, serde: Serde, places: list[TopicPartition]) -> bool:
    starts, ends = log.start_positions(places), log.end_positions(places)
    filled = {place: start for place, start in starts.items() if start < ends[place]}
    if not filled:
        return False
    reader = log.reader(filled)
    try:
        values = [record.value for record in reader.read(20, READ_SECONDS) if record.value is not None]
        return any(serde.type_of(value).name in _NAMES for value in values)
    except SchemaError:
        return False
    finally:
        reader.close()
