"""The end of a unit: what librdkafka says when a record is refused while the positions are sent."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from eventstore.log.kafka.ending import Ending
from eventstore.log.kafka.membership import KafkaMember, Membership
from eventstore.log.records import Position, TopicPartition

MEMBER = KafkaMember("group", Membership("group"), b"CGMDv2:", 0)
AT = TopicPartition("inbox", 0)
MOVED, REFUSED = KafkaError._STATE, KafkaError.INVALID_TIMESTAMP


class Client:
    """A producer whose calls raise these errors, one after the other; None: it works."""

    def __init__(self, *errors: int | None) -> None:
        self._errors, self.called = list(errors), list[str]()

    def send_offsets_to_transaction(self, places: list[Any], member: bytes, timeout: float) -> None:
        self._call("positions")

    def commit_transaction(self, timeout: float) -> None:
        self._call("commit")

    def _call(self, name: str) -> None:
        self.called.append(name)
        error = self._errors.pop(0) if self._errors else None
        if error is not None:
            raise KafkaException(KafkaError(error))


def end(client: Client) -> Ending:
    made: Any = client
    return Ending(made, {AT: Position(1)}, MEMBER)


@pytest.mark.parametrize("errors", [(), (MOVED,)])
def test_a_unit_is_committed_only_after_its_positions_were_sent(errors: tuple[int, ...]) -> None:
    """K2: also when they had to be sent twice."""
    client = Client(*errors)
    ending = end(client)

    ending.run(1.0)

    assert client.called == ["positions"] * (len(errors) + 1) + ["commit"]
    assert ending.is_asked


@pytest.mark.parametrize("errors", [(MOVED, REFUSED), (REFUSED,)])
def test_a_record_that_is_refused_while_positions_are_sent_is_told_by_its_own_code(errors: tuple[int, ...]) -> None:
    """K6: by that the input is found and dead-lettered; librdkafka first says only that its state has changed."""
    client = Client(*errors)
    ending = end(client)

    with pytest.raises(KafkaException) as raised:
        ending.run(1.0)

    assert raised.value.args[0].code() == REFUSED
    assert "commit" not in client.called
    assert not ending.is_asked
