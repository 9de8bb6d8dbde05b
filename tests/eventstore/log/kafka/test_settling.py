"""A cluster whose leaders change, or that has just made a topic: what is not known yet is asked again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from eventstore.log.kafka import KafkaLog
from eventstore.log.records import Topic, TopicPartition

OFFSET_INVALID = -1001


class Answer:
    """What librdkafka tells of a partition whose leader went away while it was asked: no error, and no offset."""

    offset = OFFSET_INVALID


def test_an_end_that_no_leader_told_is_asked_again(
    log: KafkaLog, made: Sequence[TopicPartition], monkeypatch: pytest.MonkeyPatch
) -> None:
    """K4: such an end would be taken for that of an empty partition, and nothing would be restored."""
    client = log._open()._client
    real, asked = client.list_offsets, list[int]()

    def list_offsets(wanted: dict[Any, Any], **options: Any) -> dict[Any, Any]:
        asked.append(len(wanted))
        if len(asked) > 1:
            return dict(real(wanted, **options))
        answers: dict[Any, Future[Answer]] = {place: Future() for place in wanted}
        for answer in answers.values():
            answer.set_result(Answer())
        return answers

    monkeypatch.setattr(log._open(), "_client", Replaced(client, list_offsets=list_offsets))

    assert log.end_positions(made, isolation="uncommitted") == dict.fromkeys(made, 0)
    assert len(asked) == 2


def test_topics_are_asked_for_again_when_the_connection_was_given_up(
    log: KafkaLog, made: Sequence[TopicPartition], monkeypatch: pytest.MonkeyPatch
) -> None:
    """librdkafka drops the address that it began with once it learns the brokers, and what was asked by it."""
    client, asked = log._open()._client, list[int]()
    real = client.describe_topics

    def describe_topics(wanted: Any, **options: Any) -> dict[str, Future[Any]]:
        asked.append(1)
        answers: dict[str, Future[Any]] = real(wanted, **options)
        if len(asked) == 1:
            answers = {name: Future() for name in answers}
            for answer in answers.values():
                answer.set_exception(KafkaException(KafkaError(KafkaError._DESTROY_BROKER)))
        return answers

    monkeypatch.setattr(log._open(), "_client", Replaced(client, describe_topics=describe_topics))

    assert log.describe([made[0].topic]).keys() == {made[0].topic}
    assert len(asked) > 1


def test_a_topic_that_was_just_made_may_not_be_known_yet(
    log: KafkaLog, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker that is asked may hear of it later than the one that made it."""
    name, admin = unique("topic"), log._open()
    real, unknown = admin.describe, [2]

    def describe(names: Any) -> dict[str, tuple[str, int]]:
        found = real(names)
        if name in found and unknown[0]:
            unknown[0] -= 1
            return {}
        return found

    monkeypatch.setattr(admin, "describe", describe)

    log.create([Topic(name=name, partitions=3)])

    assert log.describe([name])[name].partitions == 3
    assert unknown == [0]


class Replaced:
    """A client of which some calls are others."""

    def __init__(self, client: Any, **calls: Any) -> None:
        self._client = client
        self.__dict__.update(calls)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)
