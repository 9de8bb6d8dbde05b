"""Who runs a partition of a processor, as its state topic says (K12).

Two services that both ran it would fork its streams, so each leaves a note there that the other one finds:

    b"o" service  → 01            the service took the partition, before anybody had a position in its inbox
    b"o"          → 01 service    an operator gave the partition to the service; the last such record stands

Of several that took it at once the first one in the topic has it; the others never come to have a position. What an
operator says outranks that: whoever had the partition before is refused from then on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from eventstore.log.errors import ProcessorTaken
from eventstore.log.port import Log
from eventstore.log.records import TopicPartition
from eventstore.processor.topics import inbox_of, state_of
from eventstore.state.port import State

PREFIX: Final = b"o"
_AFTER: Final = b"p"
_VERSION: Final = b"\x01"
WRITE_SECONDS: Final = 10.0


def taken_by(service: str) -> tuple[bytes, bytes]:
    """Key and value of the note of who takes a partition first."""
    return PREFIX + service.encode(), _VERSION


def owner_of(notes: Iterable[tuple[bytes, bytes | None]], service: str) -> str | None:
    """Who has the partition by these notes, given in the order of the topic or of their keys; None if nobody does.

    Of those that took it, `service` if it is among them: then it has a position, and the others have none.
    """
    takers: list[str] = []
    given: bytes | None = None
    for key, value in notes:
        if key == PREFIX:
            given = value
        elif value is not None:
            takers.append(key[1:].decode(errors="replace"))
    if given is not None:
        return given[1:].decode(errors="replace")
    return service if service in takers else next(iter(takers), None)


def check_owner(state: State, service: str, inbox: TopicPartition) -> None:
    """Look at the notes among the restored rows of a partition in whose inbox `service` has a position.

    Raises:
        ProcessorTaken: another service has it.
    """
    owner = owner_of(state.scan(PREFIX, _AFTER), service)
    if owner not in (None, service):
        raise ProcessorTaken(service, *inbox, owner)


def give_to(log: Log, service: str, inbox: str) -> None:
    """Give all partitions of a processor to a service. Nobody may run it meanwhile.

    A topic that is no processor's inbox is left alone.
    """
    state = state_of(inbox.removesuffix(inbox_of("")))
    found = log.describe([state]).get(state) if inbox.endswith(inbox_of("")) else None
    if found is None:
        return
    _write(
        log, [TopicPartition(state, number) for number in range(found.partitions)], PREFIX, _VERSION + service.encode()
    )


def _write(log: Log, places: Sequence[TopicPartition], key: bytes, value: bytes) -> None:
    producer = log.producer()
    try:
        for sent in [producer.send(*place, key, value) for place in places]:
            sent.result(WRITE_SECONDS)
    finally:
        producer.close()
