"""The contract of the log port: units and readers."""

from __future__ import annotations

import threading

import pytest

from eventstore.log.errors import DataRefused, Fenced, InvalidRecord, MessageTooLarge
from eventstore.log.records import TopicPartition
from eventstore.testing._log_bench import LogBench, at, places


class UnitPromises:
    """Records to many partitions and group positions: all or nothing."""

    def test_unit_is_applied_whole(self, bench: LogBench) -> None:
        """One commit writes two topics and the position of what was read."""
        source, left, right = bench.topic("source"), bench.topic("left"), bench.topic("right")
        place, group = TopicPartition(source, 0), bench.name("group")
        member = bench.join(group, source)
        bench.settle([place], member)
        unit = bench.transactor()

        unit.begin()
        unit.produce(left, 0, b"k", b"l")
        unit.produce(right, 0, b"k", b"r", [("h", b"1")], timestamp_ms=1_700_000_000_000)
        unit.commit({place: at(0, "note")}, member.member)

        (there,) = bench.read(right)
        assert bench.values(left) == [b"l"]
        assert (there.value, list(there.headers), there.timestamp_ms) == (b"r", [("h", b"1")], 1_700_000_000_000)
        assert bench.log.group_positions(group, [place]) == {place: at(0, "note")}

    def test_commit_tells_the_last_offset_of_each_partition(self, bench: LogBench) -> None:
        """What commit returns is where the unit's last record is, per partition that it wrote."""
        topic = bench.topic(partitions=3)
        unit = bench.transactor()

        for _ in range(2):
            unit.begin()
            for number in (0, 0, 2):
                unit.produce(topic, number, b"k", b"v")
            ends = unit.commit()

            assert ends == {place: bench.read(topic, place.partition)[-1].offset for place in places(topic, 3)[::2]}

    def test_something_else_is_done_while_a_unit_is_committed(self, bench: LogBench) -> None:
        """Once, on the caller's thread, before commit returns; its records are there afterwards, with or without."""
        source, topic = bench.topic("source"), bench.topic("out")
        place, group = TopicPartition(source, 0), bench.name("group")
        member = bench.join(group, source)
        bench.settle([place], member)
        unit, done = bench.transactor(), list[threading.Thread]()

        for positions in ({place: at(0)}, None):
            unit.begin()
            unit.produce(topic, 0, b"k", b"v")
            of = None if positions is None else member.member
            unit.commit(positions, of, lambda: done.append(threading.current_thread()))

        assert done == [threading.current_thread()] * 2
        assert bench.values(topic) == [b"v", b"v"]

    def test_many_records_are_produced_at_once(self, bench: LogBench) -> None:
        """In order, beside those that are produced alone; the last offsets count all of them."""
        topic = bench.topic(partitions=2)
        unit = bench.transactor()
        unit.begin()
        unit.produce(topic, 0, b"k", b"0")
        unit.produce_all(
            [(topic, n % 2, b"k", b"%d" % n, [("h", b"1")] if n == 6 else (), 1_000 + n) for n in range(1, 9)]
        )
        unit.produce_all([])
        unit.produce(topic, 0, b"k", b"9")

        ends = unit.commit()

        even, odd = (bench.read(topic, number) for number in range(2))
        assert [record.value for record in even] == [b"0", b"2", b"4", b"6", b"8", b"9"]
        assert [record.value for record in odd] == [b"1", b"3", b"5", b"7"]
        assert [list(record.headers) for record in even[2:4]] == [[], [("h", b"1")]]
        assert [record.timestamp_ms for record in odd] == [1_001, 1_003, 1_005, 1_007]
        assert ends == {place: bench.read(topic, place.partition)[-1].offset for place in places(topic, 2)}

    def test_a_record_too_large_among_many_is_refused_at_once(self, bench: LogBench) -> None:
        """It is named, and after an abort nothing of the unit is there."""
        topic = bench.topic()
        unit = bench.transactor()
        unit.begin()
        with pytest.raises(MessageTooLarge):
            unit.produce_all([(topic, 0, b"k", bytes(size), (), 0) for size in (1, bench.log.message_max_bytes + 1, 1)])
        unit.abort()

        assert bench.read(topic) == []

    def test_open_unit_is_invisible(self, bench: LogBench) -> None:
        """A read-committed reader sees nothing of an open unit, and the committed end does not lie beyond it."""
        topic = bench.topic()
        place = TopicPartition(topic, 0)
        bench.produce(topic, b"before")
        unit = bench.transactor()
        unit.begin()
        for _ in range(50):
            unit.produce(topic, 0, b"k", b"open")

        committed = bench.log.end_positions([place])[place]
        uncommitted = bench.log.end_positions([place], isolation="uncommitted")[place]
        seen = bench.values(topic)
        unit.commit()

        assert committed == 1
        assert uncommitted >= committed
        assert seen == [b"before"]
        assert bench.values(topic) == [b"before"] + [b"open"] * 50

    def test_aborted_unit_never_shows(self, bench: LogBench) -> None:
        """Nothing of an aborted unit is read, by either kind of end, and a reader's position gets beyond it (K4)."""
        topic = bench.topic()
        place = TopicPartition(topic, 0)
        unit = bench.transactor()
        unit.begin()
        unit.produce(topic, 0, b"k", b"aborted")

        unit.abort()
        bench.produce(topic, b"after")

        end = bench.log.end_positions([place], isolation="uncommitted")[place]
        reader, seen = bench.reader({place: 0}), list[bytes | None]()

        def is_at_the_end() -> bool:
            seen.extend(record.value for record in reader.read(10, 0.05))
            return reader.position(place) >= end

        bench.eventually(is_at_the_end)
        assert seen == [b"after"]

    def test_position_gets_to_the_end_behind_a_commit(self, bench: LogBench) -> None:
        """After the last record a reader's position is the uncommitted end, markers included (K4)."""
        topic = bench.topic()
        place = TopicPartition(topic, 0)
        unit = bench.transactor()
        unit.begin()
        unit.produce(topic, 0, b"k", b"v")
        unit.commit()

        reader = bench.reader({place: 0})

        def is_at_the_end() -> bool:
            reader.read(10, 0.05)
            return reader.position(place) == bench.log.end_positions([place], isolation="uncommitted")[place]

        bench.eventually(is_at_the_end)
        assert bench.log.end_positions([place]) == bench.log.end_positions([place], isolation="uncommitted")

    def test_unit_of_positions_only(self, bench: LogBench) -> None:
        """A batch that made nothing still commits its positions."""
        topic, group = bench.topic(), bench.name("group")
        place = TopicPartition(topic, 0)
        member = bench.join(group, topic)
        bench.settle([place], member)
        unit = bench.transactor()

        unit.begin()
        last = unit.commit({place: at(7)}, member.member)

        assert last == {}
        assert bench.log.group_positions(group, [place]) == {place: at(7)}

    def test_positions_and_member_belong_together(self, bench: LogBench) -> None:
        """No positions, a negative one, and positions without a member are refused before the log is asked (K2)."""
        topic = bench.topic()
        place = TopicPartition(topic, 0)
        member = bench.join(bench.name("group"), topic)
        bench.settle([place], member)
        unit = bench.transactor()
        unit.begin()
        unit.produce(topic, 0, b"k", b"v")

        for positions, membership in (({}, member.member), ({place: at(-1)}, member.member), ({place: at(1)}, None)):
            with pytest.raises(ValueError):  # noqa: PT011 - what it says is the engine's
                unit.commit(positions, membership)
        unit.abort()

        assert bench.values(topic) == []

    def test_positions_carry_metadata(self, bench: LogBench) -> None:
        """4,095 ASCII characters travel with a position, by a unit and by a plain commit."""
        topic, text = bench.topic(partitions=2), "m" * 4_095
        group, (first, second) = bench.name("group"), places(topic, 2)
        member = bench.join(group, topic)
        bench.settle([first, second], member)
        unit = bench.transactor()
        unit.begin()

        unit.commit({first: at(0, text)}, member.member)
        member.consumer.commit({second: at(0, text)})

        assert bench.log.group_positions(group, [first, second]) == {first: at(0, text), second: at(0, text)}
        assert member.consumer.committed([first, second], 10) == {first: at(0, text), second: at(0, text)}

    def test_oversize_record_leaves_the_unit_usable(self, bench: LogBench) -> None:
        """The record is refused at once; the rest of the unit commits."""
        topic = bench.topic()
        unit = bench.transactor()
        unit.begin()
        unit.produce(topic, 0, b"k", b"first")

        with pytest.raises(MessageTooLarge):
            unit.produce(topic, 0, b"k", b"x" * (bench.log.message_max_bytes + 1))
        unit.produce(topic, 0, b"k", b"second")
        unit.commit()

        assert bench.values(topic) == [b"first", b"second"]

    def test_record_the_topic_cannot_hold_spoils_no_later_unit(self, bench: LogBench) -> None:
        """A record without a key on a compacted topic fails by name or aborts the unit; the transactor stays usable."""
        topic = bench.topic(compacted=True)
        unit = bench.transactor()
        unit.begin()

        def write_bad() -> None:
            unit.produce(topic, 0, None, b"bad")
            unit.commit()

        with pytest.raises((InvalidRecord, DataRefused)):
            write_bad()
        unit.abort()
        unit.begin()
        unit.produce(topic, 0, b"k", b"good")
        unit.commit()

        assert bench.values(topic) == [b"good"]

    def test_newer_transactor_fences_the_older(self, bench: LogBench) -> None:
        """Of two transactors of one id the older cannot commit, and its open unit is gone once the newer is there."""
        topic, transactional_id = bench.topic(), bench.name("unit")
        older = bench.transactor(transactional_id)
        older.begin()
        older.produce(topic, 0, b"k", b"old")

        newer = bench.transactor(transactional_id)
        newer.begin()
        newer.produce(topic, 0, b"k", b"new")
        newer.commit()

        with pytest.raises(Fenced) as caught:
            older.commit()
        assert caught.value.transactional_id == transactional_id
        assert bench.values(topic) == [b"new"]

    def test_fenced_transactor_stays_fenced(self, bench: LogBench) -> None:
        """After it was fenced, no later unit of the older one gets through either."""
        topic, transactional_id = bench.topic(), bench.name("unit")
        older = bench.transactor(transactional_id)
        bench.transactor(transactional_id)

        def write() -> None:
            older.begin()
            older.produce(topic, 0, b"k", b"old")
            older.commit()

        with pytest.raises(Fenced):
            write()

        assert bench.values(topic) == []

    def test_transactors_of_other_ids_do_not_disturb(self, bench: LogBench) -> None:
        """Two units of two ids are open at once; each is applied by its own commit."""
        topic = bench.topic(partitions=2)
        one, two = bench.transactor(), bench.transactor()
        for number, unit in enumerate((one, two)):
            unit.begin()
            unit.produce(topic, number, b"k", b"%d" % number)

        two.commit()
        seen = [bench.values(topic, number) for number in range(2)]
        one.commit()

        assert seen == [[], [b"1"]]
        assert [bench.values(topic, number) for number in range(2)] == [[b"0"], [b"1"]]

    def test_aborting_nothing_is_harmless(self, bench: LogBench) -> None:
        """`abort` without an open unit does nothing; closing aborts an open one."""
        topic = bench.topic()
        unit = bench.log.transactor(bench.name("unit"))

        unit.abort()
        unit.begin()
        unit.produce(topic, 0, b"k", b"v")
        unit.close()

        assert bench.values(topic) == []
