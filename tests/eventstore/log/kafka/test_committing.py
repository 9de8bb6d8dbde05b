"""Commits of positions that nobody answers come to an end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from eventstore.log.errors import BrokerUnreachable, StaleMember
from eventstore.log.kafka import KafkaLog, committing, group
from eventstore.log.kafka.admin import Admin
from eventstore.log.kafka.group import KafkaGroupConsumer
from eventstore.log.kafka.settings import parse
from eventstore.log.records import Position, TopicPartition
from eventstore.testing.proxy import OFFSET_COMMIT, OFFSET_FETCH, KafkaProxy
from tests.eventstore.log.kafka.members import Heard
from tests.waiting import eventually

pytestmark = pytest.mark.kafka

SESSION_MS = 6_000


@pytest.fixture
def heard() -> Heard:
    """What the member hears."""
    return Heard()


@pytest.fixture
def member(
    kafka: str,
    made: Sequence[TopicPartition],
    proxy: KafkaProxy,
    heard: Heard,
    unique: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[KafkaGroupConsumer]:
    """One that owns all partitions, behind a proxy; a commit may take 1.5 s, before librdkafka gives up by itself."""
    monkeypatch.setattr(group, "GRACE_SECONDS", 1.5 - SESSION_MS / 1000)
    settings = parse(proxy.bootstrap, {"api_timeout": "1"})
    member = KafkaGroupConsumer(settings, Admin(parse(kafka, {})), unique("group"), [made[0].topic], heard, SESSION_MS)
    eventually(lambda: owns(member, made), 20)
    yield member
    member.close()


def owns(member: KafkaGroupConsumer, partitions: Sequence[TopicPartition]) -> bool:
    """Whether a poll leaves it with these."""
    member.poll(1, 0.05)
    return member.assignment() == frozenset(partitions)


class Stuck:
    """A client whose commit returns when it is told to."""

    def __init__(self) -> None:
        self.is_told, self.is_closed = threading.Event(), threading.Event()

    def commit(self, **_: Any) -> list[Any]:
        assert self.is_told.wait(30)
        return []

    def close(self) -> None:
        self.is_closed.set()


def test_a_client_whose_commit_returns_too_late_is_closed_then() -> None:
    """Not before: its `close` would wait for the commit. Left alone it would stay in the group."""
    client: Any = Stuck()
    with pytest.raises(TimeoutError):
        committing.commit(client, [], 0.01)
    assert not client.is_closed.wait(0.1)
    client.is_told.set()
    assert client.is_closed.wait(10)


def test_a_commit_that_never_ends_makes_a_member_join_anew(
    log: KafkaLog, made: Sequence[TopicPartition], proxy: KafkaProxy, heard: Heard, member: KafkaGroupConsumer
) -> None:
    """Its client answers no call any more, so the member hears at once that its partitions are lost."""
    at, before = made[0], member.poll(1, 0.0).member
    proxy.delay(OFFSET_COMMIT, 30)
    with capture_logs() as told, pytest.raises(BrokerUnreachable, match="is unknown: poll, which joins the group anew"):
        member.commit({at: Position(1)}, before)
    assert [event["event"] for event in told] == ["consumer_replaced"]
    assert [what for what, _ in heard.events] == ["assigned", "lost"]
    member.pause([at])
    with pytest.raises(StaleMember):
        member.commit({at: Position(1)}, before)
    proxy.heal()

    eventually(lambda: owns(member, made), 30)
    member.commit({at: Position(2)}, member.poll(1, 0.0).member)
    assert log.group_positions(member.group, [at]) == {at: Position(2)}


def test_a_commit_amid_a_callback_is_made_only_if_the_coordinator_answers(
    made: Sequence[TopicPartition], proxy: KafkaProxy, heard: Heard, member: KafkaGroupConsumer
) -> None:
    """There librdkafka serves one thread alone, so nothing could end a commit that hangs."""
    outcomes: list[BaseException | None] = []

    def commit() -> None:
        try:
            member.commit({made[0]: Position(1)})
        except BrokerUnreachable as error:
            outcomes.append(error)
        else:
            outcomes.append(None)

    heard.on_revoked = commit
    proxy.delay(OFFSET_FETCH, 30)
    sent = proxy.seen[OFFSET_COMMIT]
    member.close()

    assert [type(outcome) for outcome in outcomes] == [BrokerUnreachable]
    assert proxy.seen[OFFSET_COMMIT] == sent
