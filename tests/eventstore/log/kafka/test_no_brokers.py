"""A cluster that starts may say that it has no brokers; who asked it then is answered later all the same."""

from __future__ import annotations

from contextlib import closing

import pytest

from eventstore.log import open_log
from eventstore.log.errors import BrokerUnreachable
from eventstore.log.port import Log
from eventstore.log.records import Topic, TopicPartition
from eventstore.testing.proxy import KafkaProxy
from tests.waiting import eventually

pytestmark = pytest.mark.kafka
METADATA, API_VERSIONS = 3, 18


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


def _is_unreachable(log: Log, at: TopicPartition) -> bool:
    try:
        log.describe([at.topic])
        log.end_positions([at])
    except BrokerUnreachable:
        return True
    return False
