"""Find the sagas of a log: the names under which any ever ran, and whether one is such a name."""

from __future__ import annotations

from eventstore.log.port import Log
from eventstore.log.records import TopicPartition
from eventstore.processor.topics import events_of, inbox_of
from sagas.errors import SagaNameUnknown
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
    return sorted(stem for stem, own in places.items() if _first_types(log, serde, own) & _NAMES)


def saga_partitions(log: Log, serde: Serde, name: str) -> int:
    """How many partitions the events of a saga have, though none of its sagas may have been started yet.

    Raises:
        SagaNameUnknown: no saga of this name ever ran on this log.
    """
    described = log.describe([events_of(name)]).get(events_of(name))
    if described is not None:
        places = [TopicPartition(described.name, number) for number in range(described.partitions)]
        types = _first_types(log, serde, places)
        if not types or types & _NAMES:
            return described.partitions
    raise SagaNameUnknown(name, saga_names(log, serde))


def _first_types(log: Log, serde: Serde, places: list[TopicPartition]) -> set[str]:
    """The types of what these partitions begin with; none if they are empty, or hold no messages of ours."""
    starts, ends = log.start_positions(places), log.end_positions(places)
    filled = {place: start for place, start in starts.items() if start < ends[place]}
    if not filled:
        return set()
    reader = log.reader(filled)
    try:
        values = [record.value for record in reader.read(20, READ_SECONDS) if record.value is not None]
        return {serde.type_of(value).name for value in values}
    except SchemaError:
        return set()
    finally:
        reader.close()
