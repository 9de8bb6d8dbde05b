"""The Kafka engine of the log port, on librdkafka (confluent-kafka)."""

from __future__ import annotations

from collections.abc import Mapping

from eventstore.log.kafka.log import KafkaLog
from eventstore.log.kafka.settings import parse

__all__ = ["KafkaLog", "open"]


def open(address: str, options: Mapping[str, str]) -> KafkaLog:  # noqa: A001 (called as `kafka.open`)
    """Open the log of a Kafka cluster: `host:port`, or several with commas. Options: see
    `eventstore.log.kafka.settings`.

    No connection is made yet; the first call that needs one raises BrokerUnreachable if nobody answers.

    Raises:
        BadLogUrl: no address, or an option that is unknown, ours to set, or of a wrong value.
    """
    return KafkaLog(parse(address, options))
