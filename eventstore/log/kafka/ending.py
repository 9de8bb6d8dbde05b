"""The end of a transactional unit: its positions are sent, then it is committed.

Both requests are one call, as seen by the thread that waits: each change of threads may take longer than a request.

Records are on their way meanwhile. If the broker refuses one while the positions are sent, librdkafka says no more than
that its state is another one than it was. Asked again, it says which record it was and why.
"""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Producer as Client

from eventstore.log.kafka.admin import places_of
from eventstore.log.kafka.errors import error_of
from eventstore.log.kafka.membership import KafkaMember
from eventstore.log.port import Member
from eventstore.log.records import Position, TopicPartition

METADATA_LIMIT = 4_095
"""The broker's default `offset.metadata.max.bytes`, less the NUL that the Python binding appends."""


def check_positions(positions: Mapping[TopicPartition, Position] | None, member: Member | None) -> None:
    """Rule K2: librdkafka would send nothing, and say so to nobody.

    Raises:
        ValueError: one of them without the other, no positions, or some that cannot be committed.
    """
    if member is None and positions is None:
        return
    if member is None or positions is None:
        raise ValueError("give positions and member, or neither")
    if not isinstance(member, KafkaMember):
        raise ValueError(f"{member!r} is no member of a Kafka group")
    if not positions:
        raise ValueError("no positions: a unit of a group names every partition that it writes (K2)")
    for partition, position in positions.items():
        if position.offset < 0 or len(position.metadata) > METADATA_LIMIT:
            raise ValueError(f"{partition} cannot be committed at {position.offset}: negative, or long metadata")


class Ending:
    """The two requests that end one unit."""

    def __init__(
        self, client: Client, positions: Mapping[TopicPartition, Position] | None, member: Member | None
    ) -> None:
        self._client, self._places = client, places_of(positions or {})
        self._member = member.metadata() if isinstance(member, KafkaMember) else None
        self.is_asked = False
        """Whether the broker may have been asked to commit."""

    def run(self, timeout: float) -> None:
        """Send the positions, then commit; each has the whole time-out."""
        if self._member is not None:
            self._send(self._member, timeout)
        self.is_asked = True
        self._client.commit_transaction(timeout)

    def _send(self, member: bytes, timeout: float) -> None:
        try:
            self._client.send_offsets_to_transaction(self._places, member, timeout)
        except KafkaException as raised:
            if error_of(raised).code() != KafkaError._STATE:
                raise
            self._client.send_offsets_to_transaction(self._places, member, timeout)
