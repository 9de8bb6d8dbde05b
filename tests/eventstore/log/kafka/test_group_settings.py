"""How members of a group are known to the broker (rule K14)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from eventstore.log.errors import BadLogUrl
from eventstore.log.kafka import KafkaLog
from eventstore.log.kafka import open as open_kafka
from eventstore.log.kafka.settings import parse
from eventstore.log.records import Position, TopicPartition
from tests.eventstore.log.kafka.members import Members, settle

CLASSIC_ONLY = ("partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms")


def test_groups_are_classic_and_cooperative_with_a_short_session() -> None:
    """K14: a rebalance leaves what stays alone, and who was killed is missed after 6 s, the least that brokers take."""
    session_ms = inspect.signature(KafkaLog.group).parameters["session_ms"].default
    told = parse("broker:9092", {}).group("shop", session_ms)

    assert told["partition.assignment.strategy"] == "cooperative-sticky"
    assert told["session.timeout.ms"] == 6_000
    assert int(told["heartbeat.interval.ms"]) * 3 <= 6_000
    assert "group.protocol" not in told
    assert "group.instance.id" not in told


def test_the_other_protocol_is_chosen_by_the_url() -> None:
    """K14: KIP-848, where the broker keeps session and assignor, and the client must not say them."""
    told = parse("broker:9092", {"group.protocol": "consumer"}).group("shop", 6_000)

    assert told["group.protocol"] == "consumer"
    assert [name for name in CLASSIC_ONLY if name in told] == []


def test_a_static_member_id_is_refused() -> None:
    """K14: one that was killed would hold its partitions, and two processes of one URL would be the same member."""
    with pytest.raises(BadLogUrl, match=r"group\.instance\.id is not yours to set"):
        parse("broker:9092", {"group.instance.id": "me"})


@pytest.mark.parametrize(
    ("options", "kind", "assignor"),
    [({}, "CLASSIC", "cooperative-sticky"), ({"group.protocol": "consumer"}, "CONSUMER", "uniform")],
)
def test_the_broker_knows_the_group_as_such(
    kafka: str, admin: Any, made: Sequence[TopicPartition], unique: Callable[[str], str],
    options: dict[str, str], kind: str, assignor: str,
) -> None:  # fmt: skip
    """K14, on a real broker; under either protocol a member gets partitions and commits for them."""
    log, members = open_kafka(kafka, options), Members(unique("group"))
    member = members.join(log, made[0].topic)
    settle({member: 2})
    member.commit({made[0]: Position(7, "here")})
    described = admin.describe_consumer_groups([members.group])[members.group].result()
    members.close()
    committed = log.group_positions(members.group, made)
    log.close()

    assert described.type.name == kind
    assert described.partition_assignor == assignor
    assert committed == {made[0]: Position(7, "here"), made[1]: None}
