"""A cluster that starts may say that it has no brokers; who asked it then is answered later all the same."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial

import pytest

from eventstore.log import open_log
from eventstore.log.errors import BrokerUnreachable
from eventstore.log.kafka import hearing
from eventstore.log.port import Log
from eventstore.log.records import Record, Topic, TopicPartition
from eventstore.testing.proxy import KafkaProxy
from tests.eventstore.log.kafka.members import Heard, Members
from tests.waiting import eventually

pytestmark = pytest.mark.kafka
METADATA, API_VERSIONS = 3, 18
MANY = int(os.environ.get("CLIENTS_WITHOUT_BROKERS", "8"))
"""Readers, and as many members. Some of 16 miss the brokers in two runs of three, of 50 in all."""
TIMES_WITHOUT_BROKERS = 3


def test_who_asks_is_answered_when_there_are_brokers_again(kafka: str, topic: str) -> None:
    """librdkafka forgets the brokers that it knew, and its admin client asks nobody any more: it is replaced."""
    at = TopicPartition(topic, 0)
    with KafkaProxy(kafka) as proxy:
        log = open_log(f"kafka://{proxy.bootstrap}?api_timeout=1")
        log.create([Topic(name=topic, partitions=1)])
        assert log.end_positions([at]) == {at: 0}

        proxy.break_all()
        proxy.heal()
        proxy.hide_brokers()
        eventually(lambda: _is_unreachable(log, at), 20)
        proxy.heal()

        assert eventually(lambda: not _is_unreachable(log, at) and log.end_positions([at]), 20) == {at: 0}
        assert log.describe([topic]).keys() == {topic}
        log.close()


def test_a_client_that_connects_more_slowly_than_a_call_may_take_is_kept_until_it_has(kafka: str, topic: str) -> None:
    """Three answers of 0.45 s each are needed for the first call, one for the second: it must be the same client's."""
    at = TopicPartition(topic, 0)
    with KafkaProxy(kafka) as proxy:
        with closing(open_log(f"kafka://{kafka}")) as direct:
            direct.create([Topic(name=topic, partitions=1)])
        for api_key in (API_VERSIONS, METADATA):
            proxy.delay(api_key, 0.45)
        log = open_log(f"kafka://{proxy.bootstrap}?api_timeout=1")

        assert _is_unreachable(log, at)
        eventually(lambda: not _is_unreachable(log, at), 20)
        log.close()


def test_readers_and_members_hear_again_when_there_are_brokers_again(
    kafka: str, topic: str, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a hundred clients that are told of no brokers, librdkafka leaves two to six without any for ever."""
    monkeypatch.setattr(hearing, "QUIET_SECONDS", 1.0)
    monkeypatch.setattr(hearing, "PAUSE_SECONDS", 0.2)
    at = TopicPartition(topic, 0)
    with ExitStack() as stack:
        direct = stack.enter_context(closing(open_log(f"kafka://{kafka}")))
        direct.create([Topic(name=topic, partitions=1)])
        proxy = stack.enter_context(KafkaProxy(kafka))
        log = stack.enter_context(closing(open_log(f"kafka://{proxy.bootstrap}")))
        listening: list[Callable[[], Sequence[Record]]] = []
        for _ in range(MANY):
            reader = stack.enter_context(closing(log.reader({at: 0})))
            members = stack.enter_context(closing(Members(unique("group"))))
            listening += [partial(reader.read, 10, 0.02), Starting(log, members, topic).poll]
        _say(direct, at, b"before")
        _all_hear(listening, b"before")

        for _ in range(TIMES_WITHOUT_BROKERS):
            _have_told_of_no_brokers(proxy)
            _say(direct, at, b"between")
        _say(direct, at, b"after")

        _all_hear(listening, b"after")


def test_a_log_whose_brokers_are_away_says_so(
    kafka: str, topic: str, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as a consumer has heard nothing for a while, and until a moment after somebody answers."""
    monkeypatch.setattr(hearing, "QUIET_SECONDS", 0.2)
    monkeypatch.setattr(hearing, "PAUSE_SECONDS", 0.2)
    monkeypatch.setattr("eventstore.log.kafka.admin.TROUBLED_SECONDS", 2.0)
    with (
        KafkaProxy(kafka) as proxy,
        closing(open_log(f"kafka://{proxy.bootstrap}?api_timeout=1")) as log,
        closing(Members(unique("group"))) as members,
    ):
        log.create([Topic(name=topic, partitions=1)])
        member = Starting(log, members, topic)
        eventually(lambda: member.poll() or member.owns_some())
        assert log.trouble() == ""

        proxy.break_all()
        eventually(lambda: member.poll() or "no Kafka answers" in log.trouble(), 20)
        proxy.heal()

        eventually(lambda: member.poll() or not log.trouble(), 20)


class Starting:
    """A member that reads its partitions from the beginning, as often as it gets them."""

    def __init__(self, log: Log, members: Members, topic: str) -> None:
        self._heard = Heard()
        self._consumer = members.join(log, topic, self._heard)
        self._seen = 0

    def owns_some(self) -> bool:
        return bool(self._consumer.assignment())

    def poll(self) -> Sequence[Record]:
        records = self._consumer.poll(10, 0.02).records
        for what, partitions in self._heard.events[self._seen :]:
            for partition in partitions if what == "assigned" else ():
                self._consumer.start(partition, 0)
        self._seen = len(self._heard.events)
        return records


def _have_told_of_no_brokers(proxy: KafkaProxy) -> None:
    """The clients behind this proxy, each a few times, for five seconds at most: who is deaf already asks no more."""
    proxy.break_all()
    proxy.heal()
    proxy.hide_brokers()
    before, until = proxy.seen[METADATA], time.monotonic() + 5
    eventually(lambda: proxy.seen[METADATA] - before >= 4 * MANY or time.monotonic() >= until)
    proxy.heal()


def _say(log: Log, at: TopicPartition, value: bytes) -> None:
    with closing(log.producer()) as producer:
        producer.produce(*at, b"key", value)
        producer.flush(10)


def _all_hear(listening: Sequence[Callable[[], Sequence[Record]]], value: bytes) -> None:
    """Poll each until it gets this value."""
    missing = list(listening)

    def have_all() -> bool:
        missing[:] = [poll for poll in missing if all(record.value != value for record in poll())]
        return not missing

    eventually(have_all, 60)


def _is_unreachable(log: Log, at: TopicPartition) -> bool:
    try:
        log.describe([at.topic])
        log.end_positions([at])
    except BrokerUnreachable:
        return True
    return False
