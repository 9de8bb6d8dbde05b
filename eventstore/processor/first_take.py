"""Who takes a partition for the first time notes it in the state topic, so that no second service does (K12).

The notes are those of `eventstore.processor.ownership`.

A group without a position takes a partition only if its journals say nothing but who took it first. Until the first
event they would say nothing at all, and two services that started before it would both own the partition and fork its
streams. So the first one writes a note before its position is committed. Of two that do so at once, the topic's order
decides: the keys differ, so compaction keeps both, and whoever comes second reads the first.

A service that died between the record and the position finds its own record first, and goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from eventstore.log.errors import PositionMissing
from eventstore.log.port import Log
from eventstore.log.records import Record, TopicPartition
from eventstore.processor.ownership import PREFIX, WRITE_SECONDS, owner_of, taken_by
from eventstore.scanning import Scan

SEVERAL: Final = 100
"""More records than services that start at once: a journal of more is not looked at."""


def take_first(log: Log, service: str, journals: Mapping[TopicPartition, Sequence[TopicPartition]]) -> None:
    """Note that `service` takes these partitions, unless somebody has. Blocks. `journals`: of each inbox partition, the
    one of the state topic last.

    Raises:
        PositionMissing: another service takes one of them, or one was served before.
        LogError: the log cannot be asked or written.
    """
    ends = log.end_positions({side for sides in journals.values() for side in sides}, isolation="uncommitted")
    for inbox, (*events, state) in journals.items():
        written = [side for side in events if ends[side]]
        if written or ends[state] > SEVERAL:
            raise PositionMissing(service, *inbox, _ways_out(service, inbox.topic, _has_records([*written, state][0])))
    first = _write(log, service, [state for *_, state in journals.values() if not ends[state]])
    for inbox, (*_, state) in journals.items():
        if state not in first:
            _check(service, inbox, state, _read(log, state))


def _write(log: Log, service: str, states: Sequence[TopicPartition]) -> set[TopicPartition]:
    """Write who takes them; returns those where nothing is before it."""
    producer = log.producer()
    try:
        sent = {state: producer.send(*state, *taken_by(service)) for state in states}
        return {state for state, one in sent.items() if one.result(WRITE_SECONDS) == 0}
    finally:
        producer.close()


def _read(log: Log, state: TopicPartition) -> list[Record]:
    scan = Scan(log, state.topic, {state.partition: 0})
    found: list[Record] = []
    try:
        while not scan.is_done:
            found += scan.page()
    finally:
        scan.close()
    return found


def _check(service: str, inbox: TopicPartition, state: TopicPartition, found: Iterable[Record]) -> None:
    notes = [(record.key or b"", record.value) for record in found]
    if any(key[:1] != PREFIX for key, _ in notes):
        raise PositionMissing(service, *inbox, _ways_out(service, inbox.topic, _has_records(state)))
    was_given = any(key == PREFIX for key, _ in notes)
    owner = owner_of(notes if was_given else notes[:1], service)
    if owner != service:
        raise PositionMissing(service, *inbox, _ways_out(service, inbox.topic, f"the service {owner!r} has taken it"))


def _has_records(journal: TopicPartition) -> str:
    return f"its journal {journal.topic} has records"


def _ways_out(service: str, inbox: str, why: str) -> str:
    return (
        f"{why}, so another service runs the processor (was this one renamed?), or the positions are lost: let one "
        f"service run it, and use its stores elsewhere by `Client(stores=[…])`; or let the old one decide on what "
        f"waits, stop all and say where this group goes on, by `sagalog group reset {service} --topic {inbox} --to "
        f"end`, which skips what still waits, or `--to start` if what was refused may be decided on again"
    )
