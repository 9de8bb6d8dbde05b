"""The Kafka engine keeps the log port's contract, on a real broker."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import Any, ClassVar

import pytest
from confluent_kafka.admin import AdminClient

from eventstore.log import GroupConsumer, Log, open_log
from eventstore.log.kafka.group import KafkaGroupConsumer
from eventstore.testing.log import ROLL, CompactionContract, LogContract, SessionContract
from tests.administrator import add_partitions

_LEAVE_GROUP = 13


class TestKafkaLog(LogContract, CompactionContract, SessionContract):
    """Contract of the port on `kafka://`."""

    bootstrap: ClassVar[str]
    visibility_s = 1.0

    @pytest.fixture(autouse=True)
    def broker(self, kafka: str) -> None:
        """Where the run's Kafka is."""
        type(self).bootstrap = kafka

    def make_log(self, tmp_path: Path) -> Log:
        return open_log(f"kafka://{self.bootstrap}")

    def add_partitions(self, log: Log, topic: str, partitions: int) -> None:
        admin: Any = AdminClient({"bootstrap.servers": self.bootstrap})
        add_partitions(admin, topic, partitions)

    def compact(self, log: Log, topic: str) -> None:
        """The cleaner runs by itself; an append rolls the segment that it may not touch."""
        producer = log.producer()
        producer.send(topic, 0, ROLL, b"").result(10)
        producer.close()

    def expire_session(self, log: Log, consumer: GroupConsumer) -> None:
        """Tell the coordinator, in the member's name and behind its back, that it leaves."""
        assert isinstance(consumer, KafkaGroupConsumer)
        body = _string(consumer.group) + _string(consumer.member_id)
        request = struct.pack(">hhi", _LEAVE_GROUP, 1, 1) + _string("contract") + body
        host, _, port = self.bootstrap.split(",")[0].rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as broker:
            broker.sendall(struct.pack(">i", len(request)) + request)
            answer = broker.recv(64)
        assert answer[-2:] == b"\0\0", f"the coordinator refused: {answer!r}"


def _string(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()
