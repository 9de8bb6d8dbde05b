"""What a unit checks before it serves a partition: positions that are gone (K12), topics that changed (K4)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import AdminClient

from eventstore.clock import ManualClock, SystemClock
from eventstore.log import open_log
from eventstore.log.errors import PartitionCountChanged, PositionMissing
from eventstore.log.local.consumer import LocalConsumer, LocalReader
from eventstore.log.local.log import LocalLog
from eventstore.log.partition import partition_of
from eventstore.log.port import Log
from eventstore.log.records import Record, Topic
from eventstore.processor.inputs import Answered
from eventstore.processor.topics import INBOX_RETENTION_MS
from eventstore.processor.unit import Unit
from eventstore.registry import TopicRegistry
from eventstore.state.memory import MemoryStateEngine
from eventstore.state.rocks import RocksStateEngine
from schemas import Metadata
from tests.administrator import add_partitions
from tests.eventstore.processor.counters import Add, Ask, Bench, Counters, Total, records_of
from tests.waiting import eventually


@pytest.fixture
def memory(clock: ManualClock) -> LocalLog:
    """A log in memory, with what only the local engines can."""
    opened = open_log("memory://", clock=clock)
    assert isinstance(opened, LocalLog)
    return opened


@pytest.fixture
def bench(memory: LocalLog, clock: ManualClock) -> Bench:
    """A unit that has counted, and serves."""
    made = Bench(memory, clock=clock)
    made.post(Add(counter="a", by=3))
    made.run()
    return made


def end_retention(memory: LocalLog, clock: ManualClock) -> None:
    """Let the inboxes lose what they hold."""
    clock.advance(timedelta(milliseconds=INBOX_RETENTION_MS + 1))
    memory.compact()


def successor_of(bench: Bench, **changes: Any) -> Bench:
    return Bench(bench.log, clock=bench.clock, registry=bench.registry, **changes)


@pytest.mark.parametrize("lost", ["records too", "positions only"])
def test_a_group_without_a_position_beside_a_journal_is_an_error_with_the_way_out(
    bench: Bench, memory: LocalLog, clock: ManualClock, lost: str
) -> None:
    """K12: another service runs it, this one was renamed, or the positions are gone. What was handled is not known:
    no outcome is kept of what was refused, and that would be decided on again."""
    bench.close()
    if lost == "records too":
        end_retention(memory, clock)
    renamed = successor_of(bench, service="renamed")  # whose group has no position

    with pytest.raises(PositionMissing, match=r"sagalog group reset renamed --topic counter\.inbox --to end"):
        renamed.run(lambda: False)

    assert not renamed.unit.is_ready()
    assert bench.events("a") == [(0, 3)]


def test_two_services_do_not_run_one_processor(bench: Bench) -> None:
    """K12: they would be two owners of each partition, who do not know of each other's versions."""
    with pytest.raises(PositionMissing, match="another service runs the processor"):
        successor_of(bench, service="other").run(lambda: False)

    assert bench.ask(Ask(counter="a")) == Total(is_=3)


def test_what_waited_in_the_inbox_comes_before_local_calls(bench: Bench) -> None:
    """K10: a call may repeat an input that waits; decided on first, it could be refused and the other happen later."""
    bench.close()
    bench.post(Add(counter="a", by=4))
    successor, answers = successor_of(bench), list[Answered]()
    successor.call(Add(counter="a", by=5), answers.append)
    successor.run(lambda: bool(answers))

    assert successor.events("a") == [(0, 3), (1, 4), (2, 5)]


def test_positions_that_the_member_is_never_told_are_read_by_another_consumer(
    bench: Bench, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K5: a question that was lost with its connection looks like a predecessor that hangs."""

    def silent(*_: object) -> NoReturn:
        raise TimeoutError

    bench.close()
    monkeypatch.setattr(LocalConsumer, "committed", silent)
    successor, answers = successor_of(bench), list[Answered]()
    successor.call(Ask(counter="a"), answers.append)
    successor.unit.step(0.01)
    clock.advance(timedelta(seconds=2))

    def served() -> bool:
        successor.unit.step(0.01)
        return bool(answers)

    eventually(served, timeout=10)
    assert answers[0].message == Total(is_=3)


def test_a_restore_that_stands_still_goes_on_with_another_reader(
    bench: Bench, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K4: what a reader waits for may have been lost with its connection."""
    bench.close()
    readers, read = list[LocalReader](), LocalReader.read

    def deaf(self: LocalReader, max_records: int, timeout: float) -> list[Record]:
        readers.extend([self] if self not in readers else [])
        if self is readers[0]:
            clock.advance(timedelta(seconds=1))
            return []
        return read(self, max_records, timeout)

    monkeypatch.setattr(LocalReader, "read", deaf)
    successor = successor_of(bench, state=MemoryStateEngine())

    assert successor.ask(Ask(counter="a")) == Total(is_=3)
    assert len(readers) == 2


def test_a_state_of_another_partition_is_not_used(memory: LocalLog, clock: ManualClock, tmp_path: Path) -> None:
    """K13: a folder that was put into another's place is discarded, and made anew."""
    first = Bench(memory, clock=clock, state=RocksStateEngine(tmp_path))
    key = next(key for key in "bcdefgh" if partition_of(key, 2) != partition_of("a", 2))
    for counter in ("a", key):
        first.post(Add(counter=counter, by=3))
    first.run()
    first.close()
    folder = tmp_path / first.unit.group / "counter"
    shutil.rmtree(folder / str(partition_of("a", 2)))
    shutil.copytree(folder / str(partition_of(key, 2)), folder / str(partition_of("a", 2)))

    successor = successor_of(first, state=RocksStateEngine(tmp_path))

    assert successor.ask(Ask(counter="a")) == Total(is_=3)
    successor.close()


def test_records_that_were_deleted_unhandled_are_an_error(bench: Bench, memory: LocalLog, clock: ManualClock) -> None:
    """K12: `auto.offset.reset` is an error. Retention took what no owner had read: the unit does not skip it."""
    bench.close()
    bench.post(Add(counter="a", by=4))
    bench.post(Add(counter="a", by=5))
    end_retention(memory, clock)
    bench.post(Add(counter="a", by=6))
    successor = successor_of(bench)

    with pytest.raises(PositionMissing, match=r"counter\.inbox"):
        successor.run(lambda: False)

    assert bench.events("a") == [(0, 3)]


@pytest.mark.parametrize("topic", ["counter.inbox", "counter.events", "counter.state"])
def test_a_topic_with_another_count_is_not_taken(bench: Bench, memory: LocalLog, topic: str) -> None:
    """K4: somebody gave it more partitions before the owner came: keys would move away from their state."""
    bench.close()
    successor = successor_of(bench)
    memory.add_partitions(topic, 3)

    with pytest.raises(PartitionCountChanged, match=rf"{topic}: the manifest says 2 partitions, found 3"):
        successor.run(lambda: False)
    assert not successor.unit.is_ready()


def test_a_topic_that_gets_more_partitions_while_it_is_served_stops_the_unit_by_name(
    bench: Bench, memory: LocalLog
) -> None:
    """K4: the group hands out the new partition, which has no journal, and the one who gets it says what happened."""
    memory.add_partitions("counter.inbox", 3)

    with pytest.raises(PartitionCountChanged, match=r"counter\.inbox: the manifest says 2 partitions, found 3"):
        bench.run(lambda: False)


def test_a_topic_made_again_with_another_count_while_it_is_served_is_not_taken(bench: Bench, memory: LocalLog) -> None:
    """K4: deleted, made again and widened. Its position is gone, which stops the unit; its successors see the count."""
    memory.delete(["counter.inbox"])
    memory.create([Topic(name="counter.inbox", partitions=1)])
    memory.add_partitions("counter.inbox", 4)

    with pytest.raises(PositionMissing, match=r"counter\.inbox"):
        bench.run(lambda: False)
    bench.unit.stop(bench.clock.monotonic())
    successor = Unit(bench.host, bench.processors, moved=bench.moved.append)
    successor.open()

    with pytest.raises(PartitionCountChanged, match=r"counter\.inbox: the manifest says 1 partitions, found 4"):
        eventually(lambda: successor.step(0.01))


def test_journals_made_again_are_not_read_from_the_old_rows(bench: Bench, memory: LocalLog) -> None:
    """K4, K13: topics of other ids, whose ends lie behind the old rows' positions. Those rows are discarded."""
    bench.close()
    memory.delete(["counter.inbox", "counter.events", "counter.state"])
    again = successor_of(bench)
    for _ in range(3):
        again.ask(Add(counter="a", by=5))
    again.close()

    successor = successor_of(bench, state=bench.state)

    assert successor.ask(Ask(counter="a")) == Total(is_=15)


@pytest.fixture
def admin(kafka: str) -> Any:
    """Somebody who changes things behind our back."""
    return AdminClient({"bootstrap.servers": kafka})


def on(log: Log, name: str) -> Bench:
    """A unit of a processor of its own, ready."""
    registry: Any = TopicRegistry(log)
    made = Bench(log, service=name, clock=SystemClock(), registry=registry, processors=[Counters(name, 1)])
    post(log, made, name, 3)
    made.run()
    return made


def post(log: Log, bench: Bench, name: str, by: int) -> None:
    producer, metadata = log.producer(), Metadata(id=f"add {by}", type="add").encode()
    assert partition_of("a", 1) == 0
    producer.produce(f"{name}.inbox", 0, b"a", bench.serde.encode(Add(counter="a", by=by)), (("meta", metadata),))
    producer.close()


def successor_on(bench: Bench) -> Bench:
    return Bench(
        bench.log, service=bench.service, clock=bench.clock, registry=bench.registry, processors=bench.processors
    )


def test_a_group_that_kafka_forgot_is_an_error_with_the_way_out(
    log: Log, admin: Any, unique: Callable[[str], str]
) -> None:
    """K12 on a real Kafka: the group was deleted, and the inbox lost records."""
    name = unique("counter")
    bench = on(log, name)
    bench.close()
    for future in admin.delete_records([Place(f"{name}.inbox", 0, 1)]).values():
        future.result()
    eventually(lambda: admin.delete_consumer_groups([name])[name].result() is None)
    successor = successor_on(bench)

    with pytest.raises(PositionMissing, match=rf"sagalog group reset {name} --topic {name}\.inbox"):
        successor.run(lambda: False)
    successor.unit.stop(bench.clock.monotonic())

    assert len(records_of(log, f"{name}.events")) == 1


def test_a_topic_that_an_administrator_widened_stops_the_unit_by_name(
    log: Log, admin: Any, unique: Callable[[str], str]
) -> None:
    """K4 on a real Kafka: whoever is given the new partition stops at the manifest, at once."""
    name = unique("counter")
    bench = on(log, name)
    add_partitions(admin, f"{name}.inbox", 2)
    bench.unit.stop(bench.clock.monotonic())
    successor = Unit(bench.host, bench.processors, moved=bench.moved.append)
    successor.open()

    with pytest.raises(PartitionCountChanged, match=rf"{name}\.inbox: the manifest says 1 partitions, found 2"):
        eventually(lambda: successor.step(0.01), 20)
    successor.stop(bench.clock.monotonic())
