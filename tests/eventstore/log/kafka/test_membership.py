"""At most one member of a group can commit for a partition (K3), on the real coordinator."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from eventstore.log.errors import StaleMember
from eventstore.log.kafka import KafkaLog
from eventstore.log.kafka.membership import KafkaMember
from eventstore.log.records import Position, TopicPartition
from eventstore.testing.proxy import KafkaProxy
from tests.eventstore.log.kafka.members import Heard, Members, polled, settle
from tests.waiting import eventually


def fill(log: KafkaLog, partitions: Sequence[TopicPartition], count: int) -> None:
    """Put so many records into each partition."""
    producer = log.producer()
    for number in range(count):
        for at in partitions:
            producer.produce(*at, b"key", b"%d" % number)
    producer.close()


def test_a_member_that_rejoined_cannot_commit_for_a_partition_it_lost(
    log: KafkaLog, members: Members, made: Sequence[TopicPartition], unique: Callable[[str], str]
) -> None:
    """K3: neither with the membership of then nor with that of now; the broker alone would take the latter."""
    first = members.join(log, made[0].topic)
    settle({first: 2})
    then = first.poll(1, 0.0).member
    second = members.join(log, made[0].topic)
    settle({first: 1, second: 1})
    (lost,) = second.assignment()
    now = first.poll(1, 0.0).member
    transactor = log.transactor(unique("tx"))

    for member in (then, now):
        transactor.begin()
        transactor.produce(*lost, b"key", b"forked")
        with pytest.raises(StaleMember):
            transactor.commit({lost: Position(7)}, member)
    with pytest.raises(StaleMember):
        first.commit({lost: Position(7)})

    assert log.group_positions(members.group, made) == dict.fromkeys(made)
    transactor.begin()
    transactor.commit({lost: Position(1)}, second.poll(1, 0.0).member)
    assert log.group_positions(members.group, [lost]) == {lost: Position(1)}
    transactor.close()


def test_the_broker_alone_would_take_a_commit_for_a_lost_partition(
    log: KafkaLog,
    members: Members,
    made: Sequence[TopicPartition],
    unique: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """K3, taken out: a member that ignores the change of its assignment commits what another one owns."""

    def may_commit(self: KafkaMember, partitions: object) -> bool:
        return True

    monkeypatch.setattr(KafkaMember, "may_commit", may_commit)
    first = members.join(log, made[0].topic)
    settle({first: 2})
    second = members.join(log, made[0].topic)
    settle({first: 1, second: 1})
    (lost,) = second.assignment()
    transactor = log.transactor(unique("tx"))

    transactor.begin()
    transactor.commit({lost: Position(7)}, first.poll(1, 0.0).member)

    assert log.group_positions(members.group, [lost]) == {lost: Position(7)}
    transactor.close()


def test_a_batch_from_before_a_partition_was_lost_and_regained_is_refused(
    log: KafkaLog, members: Members, made: Sequence[TopicPartition], unique: Callable[[str], str]
) -> None:
    """K3: the assignment looks the same again, but another member owned it in between."""
    first = members.join(log, made[0].topic)
    settle({first: 2})
    before = first.poll(1, 0.0).member
    second = members.join(log, made[0].topic)
    settle({first: 1, second: 1})
    second.close()
    settle({first: 2})
    transactor = log.transactor(unique("tx"))

    transactor.begin()
    with pytest.raises(StaleMember):
        transactor.commit({made[0]: Position(7)}, before)

    transactor.begin()
    transactor.commit({made[0]: Position(8)}, first.poll(1, 0.0).member)
    assert log.group_positions(members.group, [made[0]]) == {made[0]: Position(8)}
    transactor.close()


def test_an_evicted_member_is_refused_by_the_broker(
    log: KafkaLog,
    proxy: KafkaProxy,
    proxied: KafkaLog,
    members: Members,
    made: Sequence[TopicPartition],
    unique: Callable[[str], str],
) -> None:
    """Its heartbeats did not arrive for a session: it still believes to own the partition, and its unit is aborted."""
    fill(log, made, 1)
    heard = Heard()
    evicted = members.join(proxied, made[0].topic, heard)
    settle({evicted: 2})
    evicted.start(made[0], 0)
    _, batch = polled(evicted, 1)
    proxy.break_all()
    successor = members.join(log, made[0].topic)
    settle({successor: 2}, timeout=30)
    transactor = log.transactor(unique("tx"))

    transactor.begin()
    transactor.produce(*made[1], b"key", b"forked")
    with pytest.raises(StaleMember):
        transactor.commit({made[0]: Position(1)}, batch.member)

    assert log.group_positions(members.group, made) == dict.fromkeys(made)
    assert "lost" not in {what for what, _ in heard.events}
    proxy.heal()

    def has_heard() -> bool:
        evicted.poll(1, 0.05)
        return "lost" in {what for what, _ in heard.events}

    eventually(has_heard, timeout=20)
    transactor.close()


def test_what_is_under_way_is_committed_on_revocation(
    log: KafkaLog, members: Members, made: Sequence[TopicPartition], unique: Callable[[str], str]
) -> None:
    """Inside `revoked` the partitions are still ours, though the group's generation has moved on already."""
    transactor, heard = log.transactor(unique("tx")), Heard()
    first = members.join(log, made[0].topic, heard)
    settle({first: 2})
    fill(log, made, 1)
    for at in made:
        first.start(at, 0)
    _, batch = polled(first, 2)

    def finish() -> None:
        transactor.begin()
        transactor.commit({at: Position(1, "on revocation") for at in made}, batch.member)

    heard.on_revoked = finish
    second = members.join(log, made[0].topic)
    settle({first: 1, second: 1})
    heard.on_revoked = None

    assert log.group_positions(members.group, made) == dict.fromkeys(made, Position(1, "on revocation"))
    transactor.close()


def test_leaving_hands_over_at_once(log: KafkaLog, members: Members, made: Sequence[TopicPartition]) -> None:
    """`close` calls `revoked`, and the other member does not wait for a session."""
    heard = Heard()
    first = members.join(log, made[0].topic, heard)
    settle({first: 2})
    second = members.join(log, made[0].topic)
    settle({first: 1, second: 1})

    first.close()

    settle({second: 2}, timeout=4)
    assert heard.events[-1][0] == "revoked"
    assert first.assignment() == frozenset()


def test_without_a_membership_there_is_no_member(
    log: KafkaLog, members: Members, made: Sequence[TopicPartition]
) -> None:
    """A classic group would take a commit of generation −1 without any fencing, so it cannot be made."""
    consumer = members.join(log, made[0].topic)

    assert consumer.poll(1, 0.0).member is None
    settle({consumer: 2})
    assert consumer.poll(1, 0.0).member is not None
