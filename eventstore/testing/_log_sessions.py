"""The contract of the log port: members whose session ends."""

from __future__ import annotations

from abc import ABC, abstractmethod

import pytest

from eventstore.log.errors import StaleMember
from eventstore.log.port import GroupConsumer, Log
from eventstore.log.records import TopicPartition
from eventstore.testing._log_bench import LogBench, RecordingMember, at, places


class SessionContract(ABC):
    """For engines whose test can end a member's session at will; to be inherited beside `LogContract`."""

    @abstractmethod
    def expire_session(self, log: Log, consumer: GroupConsumer) -> None:
        """Make the group evict this member, as if it had been silent for its session."""

    def test_evicted_member_commits_nothing(self, bench: LogBench) -> None:
        """Evicted, a member is refused before it even knows."""
        topic, group = bench.topic(), bench.name("group")
        member = bench.join(group, topic)
        bench.settle(places(topic, 1), member)
        unit = bench.transactor()
        unit.begin()
        unit.produce(topic, 0, b"k", b"late")

        self.expire_session(bench.log, member.consumer)

        with pytest.raises(StaleMember):
            unit.commit({TopicPartition(topic, 0): at(1)}, member.member)
        assert bench.values(topic) == []
        assert bench.log.group_positions(group, places(topic, 1)) == {TopicPartition(topic, 0): None}

    def test_evicted_member_hears_of_it_and_rejoins(self, bench: LogBench) -> None:
        """Its partitions are `lost`, not `revoked`, go to the others, and it becomes a member again by polling."""
        topic, group = bench.topic(partitions=2), bench.name("group")
        one, two = bench.join(group, topic), bench.join(group, topic)
        bench.settle(places(topic, 2), one, two)
        held, heard_before = one.owned, len(one.heard)

        self.expire_session(bench.log, one.consumer)
        self.poll_alone(bench, two, topic)
        bench.settle(places(topic, 2), one, two)

        assert one.told("lost") == held
        assert "revoked" not in {what for what, _ in one.heard[heard_before:]}

    @staticmethod
    def poll_alone(bench: LogBench, member: RecordingMember, topic: str) -> None:
        """Poll one member until it owns everything."""
        bench.poll_until(lambda: member.owned == frozenset(places(topic, 2)), member)
