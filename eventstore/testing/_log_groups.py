"""The contract of the log port: consumer groups."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from eventstore.log.errors import LogError, StaleMember
from eventstore.log.records import TopicPartition
from eventstore.testing._log_bench import LogBench, at, places


class GroupPromises:
    """Who gets what, who may commit, and where a successor goes on."""

    def test_single_member_gets_all_partitions(self, bench: LogBench) -> None:
        """The assignment arrives in `poll`, by the callback and by `assignment`."""
        topic = bench.topic(partitions=3)
        member = bench.join(bench.name("group"), topic)
        before = member.owned

        bench.settle(places(topic, 3), member)

        assert before == frozenset()
        assert member.told("assigned") == member.owned == frozenset(places(topic, 3))

    def test_batch_has_a_member_only_with_an_assignment(self, bench: LogBench) -> None:
        """While a consumer is not joined its batches are empty and name no member: no commit is unfenced (K3)."""
        topic = bench.topic()
        bench.produce(topic, b"v")
        member = bench.join(bench.name("group"), topic)

        def is_served() -> bool:
            member.poll()
            if member.batch.member is None:
                assert not member.batch.records
            return bool(member.records)

        bench.eventually(is_served)
        assert member.member.group == member.consumer.group

    def test_nothing_is_delivered_before_start(self, bench: LogBench) -> None:
        """An assigned partition delivers nothing until it is started, and then from the position given."""
        topic = bench.topic(partitions=2)
        for number in range(2):
            bench.produce(topic, *(b"%d" % value for value in range(5)), partition=number)
        member = bench.join(bench.name("group"), topic, autostart=False)
        bench.settle(places(topic, 2), member)
        for _ in range(5):
            member.poll()
        before = list(member.records)

        member.consumer.start(TopicPartition(topic, 1), 3)
        bench.poll_until(lambda: len(member.records) == 2, member)

        assert before == []
        assert [(record.partition, record.offset) for record in member.records] == [(1, 3), (1, 4)]

    def test_start_repositions(self, bench: LogBench) -> None:
        """A started partition can be sent back; what was fetched ahead of the move is not delivered."""
        topic = bench.topic()
        bench.produce(topic, *(b"%d" % value for value in range(10)))
        member = bench.join(bench.name("group"), topic)
        bench.eventually(lambda: member.poll(3))

        member.consumer.start(TopicPartition(topic, 0), 1)
        member.records.clear()
        bench.poll_until(lambda: len(member.records) >= 9, member)

        assert [record.offset for record in member.records] == list(range(1, 10))

    def test_start_resumes(self, bench: LogBench) -> None:
        """A paused partition that is started again delivers, from where it was started."""
        topic = bench.topic()
        bench.produce(topic, *(b"%d" % value for value in range(4)))
        member = bench.join(bench.name("group"), topic)
        bench.poll_until(lambda: len(member.records) == 4, member)

        member.consumer.pause([TopicPartition(topic, 0)])
        member.records.clear()
        member.consumer.start(TopicPartition(topic, 0), 2)
        bench.poll_until(lambda: len(member.records) >= 2, member)

        assert [record.offset for record in member.records] == [2, 3]

    def test_start_of_a_foreign_partition_is_refused(self, bench: LogBench) -> None:
        """Only what is assigned can be started."""
        topic = bench.topic()
        member = bench.join(bench.name("group"), topic)
        bench.settle(places(topic, 1), member)

        with pytest.raises(LogError):
            member.consumer.start(TopicPartition(topic, 5), 0)

    def test_paused_partition_waits_and_loses_nothing(self, bench: LogBench) -> None:
        """While one partition is paused the other flows; resumed, it goes on where it was."""
        topic = bench.topic(partitions=2)
        quiet, loud = places(topic, 2)
        member = bench.join(bench.name("group"), topic)
        bench.settle([quiet, loud], member)
        bench.produce(topic, b"first", partition=0)
        bench.poll_until(lambda: b"first" in member.values(), member)

        member.consumer.pause([quiet])
        bench.produce(topic, b"q1", b"q2", partition=0)
        bench.produce(topic, b"l1", b"l2", partition=1)
        bench.poll_until(lambda: b"l2" in member.values(), member)
        for _ in range(3):
            member.poll()
        while_paused = member.values()
        member.consumer.resume([quiet])
        bench.poll_until(lambda: b"q2" in member.values(), member)

        assert while_paused == [b"first", b"l1", b"l2"]
        assert member.values() == [b"first", b"l1", b"l2", b"q1", b"q2"]

    def test_poll_returns_no_more_than_asked_and_does_not_wait_for_more(self, bench: LogBench) -> None:
        """Batches are bounded; records of a partition are in order over batches."""
        topic = bench.topic()
        bench.produce(topic, *(b"%d" % value for value in range(50)))
        member = bench.join(bench.name("group"), topic)

        def take() -> bool:
            assert len(member.poll(7, 5)) <= 7
            return len(member.records) == 50

        bench.eventually(take)
        assert [record.offset for record in member.records] == list(range(50))

    def test_only_committed_records_are_delivered(self, bench: LogBench) -> None:
        """A member sees nothing of open and aborted units."""
        topic = bench.topic()
        member = bench.join(bench.name("group"), topic)
        bench.settle(places(topic, 1), member)
        unit = bench.transactor()
        unit.begin()
        unit.produce(topic, 0, b"k", b"aborted")
        unit.abort()
        unit.begin()
        unit.produce(topic, 0, b"k", b"committed")
        for _ in range(3):
            member.poll()
        before = member.values()

        unit.commit()
        bench.poll_until(lambda: member.records, member)

        assert before == []
        assert member.values() == [b"committed"]

    def test_members_share_and_the_rest_keeps_flowing(self, bench: LogBench) -> None:
        """A second member gets half; only what moves is revoked, the other partitions are not interrupted."""
        topic, group = bench.topic(partitions=4), bench.name("group")
        one = bench.join(group, topic)
        bench.settle(places(topic, 4), one)

        two = bench.join(group, topic)
        bench.settle(places(topic, 4), one, two)
        for place in places(topic, 4):
            bench.produce(topic, b"%d" % place.partition, partition=place.partition)
        bench.poll_until(lambda: len(one.records) + len(two.records) == 4, one, two)

        assert len(one.owned) == len(two.owned) == 2
        assert one.told("revoked") == two.owned
        assert one.told("lost") == two.told("lost") == two.told("revoked") == frozenset()
        assert [what for what, _ in one.heard].count("assigned") == 1
        assert {TopicPartition(r.topic, r.partition) for r in one.records} == one.owned

    def test_positions_are_committed_while_revoked(self, bench: LogBench) -> None:
        """Inside `revoked` what is under way can be committed, by a unit and plainly; the successor goes on there."""
        topic, group = bench.topic(partitions=2), bench.name("group")
        for number in range(2):
            bench.produce(topic, b"a", b"b", b"c", partition=number)
        one = bench.join(group, topic)
        bench.poll_until(lambda: len(one.records) == 6, one)
        unit = bench.transactor()

        def hand_over(partitions: Sequence[TopicPartition]) -> None:
            unit.begin()
            unit.commit({place: at(2, "handed over") for place in partitions}, one.member)

        one.while_revoked = hand_over
        two = bench.join(group, topic)
        bench.settle(places(topic, 2), one, two)
        bench.poll_until(lambda: two.records, one, two)
        one.while_revoked = lambda partitions: None

        assert two.values() == [b"c"]

    def test_only_the_owner_commits(self, bench: LogBench) -> None:
        """A member that lost a partition is refused with the batch from before, in a unit and plainly (K3)."""
        topic, group = bench.topic(partitions=2), bench.name("group")
        one = bench.join(group, topic)
        bench.settle(places(topic, 2), one)
        stale, unit = one.member, bench.transactor()
        two = bench.join(group, topic)
        bench.settle(places(topic, 2), one, two)
        (moved,) = two.owned

        unit.begin()
        unit.produce(topic, 0, b"k", b"stale")
        with pytest.raises(StaleMember):
            unit.commit({moved: at(1)}, stale)
        with pytest.raises(StaleMember):
            one.consumer.commit({moved: at(1)}, stale)
        with pytest.raises(StaleMember):
            one.consumer.commit({moved: at(1)})

        assert bench.values(topic) == []
        assert bench.log.group_positions(group, [moved]) == {moved: None}

    def test_member_with_a_fresh_batch_commits_only_what_it_owns(self, bench: LogBench) -> None:
        """A member that rejoined has a valid membership, but not for a partition it lost; once refused, it goes on."""
        topic, group = bench.topic(partitions=2), bench.name("group")
        one, two = bench.join(group, topic), bench.join(group, topic)
        bench.settle(places(topic, 2), one, two)
        (mine,), (other,) = one.owned, two.owned
        unit = bench.transactor()

        unit.begin()
        with pytest.raises(StaleMember):
            unit.commit({mine: at(1), other: at(1)}, one.member)

        def has_committed() -> bool:
            member = one.member
            unit.begin()
            try:
                unit.commit({mine: at(2)}, member)
            except StaleMember:  # right only if the group did move on once more, as it may on a busy machine
                bench.poll_until(lambda: one.batch.member not in (None, member), one, two)
                return False
            return True

        bench.eventually(has_committed)
        assert bench.log.group_positions(group, [mine, other]) == {mine: at(2), other: None}

    def test_lost_and_regained_is_a_change(self, bench: LogBench) -> None:
        """A batch from before does not commit, although the member owns the same partitions again (K3)."""
        topic, group = bench.topic(partitions=2), bench.name("group")
        one = bench.join(group, topic)
        bench.settle(places(topic, 2), one)
        stale = one.member
        two = bench.join(group, topic)
        bench.settle(places(topic, 2), one, two)
        two.close()
        bench.settle(places(topic, 2), one)
        unit = bench.transactor()

        unit.begin()
        with pytest.raises(StaleMember):
            unit.commit({place: at(1) for place in places(topic, 2)}, stale)
        unit.begin()
        unit.commit({place: at(2) for place in places(topic, 2)}, one.member)

        assert set(bench.log.group_positions(group, places(topic, 2)).values()) == {at(2)}

    def test_leaving_hands_over_at_once(self, bench: LogBench) -> None:
        """`close` calls `revoked` and the others get the partitions without waiting for a session to end."""
        topic, group = bench.topic(partitions=2), bench.name("group")
        one, two = bench.join(group, topic), bench.join(group, topic)
        bench.settle(places(topic, 2), one, two)
        held = one.owned

        one.close()
        bench.settle(places(topic, 2), two)

        assert one.heard[-1] == ("revoked", tuple(sorted(held)))
        assert two.owned == frozenset(places(topic, 2))

    def test_successor_goes_on_where_the_group_stopped(self, bench: LogBench) -> None:
        """After a restart of everything a new member starts from the committed position."""
        topic, group = bench.topic(), bench.name("group")
        place = TopicPartition(topic, 0)
        bench.produce(topic, *(b"%d" % number for number in range(6)))
        first = bench.join(group, topic)
        bench.poll_until(lambda: len(first.records) == 6, first)
        unit = bench.transactor()
        unit.begin()
        unit.commit({place: at(4, "four done")}, first.member)

        bench.restart()
        second = bench.join(group, topic)
        bench.poll_until(lambda: second.records, second)

        assert second.values()[0] == b"4"
        assert second.consumer.committed([place], 10) == {place: at(4, "four done")}

    def test_group_without_positions_says_so(self, bench: LogBench) -> None:
        """No position is None, not 0; a group that has neither members nor positions is not listed."""
        topic, group = bench.topic(), bench.name("group")
        place = TopicPartition(topic, 0)

        before = bench.log.groups()
        positions = bench.log.group_positions(group, [place])
        member = bench.join(group, topic)
        bench.settle([place], member)

        assert group not in before
        assert positions == {place: None} == member.consumer.committed([place], 10)
        bench.eventually(lambda: group in bench.log.groups())

    def test_a_group_is_live_while_it_has_members(self, bench: LogBench) -> None:
        """Its positions stay when the last member leaves; whoever asks is no member."""
        topic, group = bench.topic(), bench.name("group")
        place = TopicPartition(topic, 0)
        member = bench.join(group, topic)
        bench.settle([place], member)
        member.consumer.commit({place: at(0)})

        while_it_reads = bench.log.groups(live=True)
        member.consumer.close()

        assert group in while_it_reads
        bench.eventually(lambda: group not in bench.log.groups(live=True))
        assert group in bench.log.groups()

    def test_groups_are_independent(self, bench: LogBench) -> None:
        """Two groups get every record each, and have positions of their own."""
        topic = bench.topic()
        place = TopicPartition(topic, 0)
        one, two = bench.join(bench.name("one"), topic), bench.join(bench.name("two"), topic)
        bench.produce(topic, b"v")
        bench.poll_until(lambda: one.records and two.records, one, two)

        one.consumer.commit({place: at(1)})

        assert one.values() == two.values() == [b"v"]
        assert bench.log.group_positions(two.consumer.group, [place]) == {place: None}
        assert one.consumer.group in bench.log.groups()
