"""What is committed, what a successor repeats, and how partitions go from one to another."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import pytest

from consumers.dead_letters import redrive_of, state_of
from consumers.delivery import Context
from consumers.limits import Limits
from consumers.retry import Retry
from consumers.worker import Worker
from consumers.worker_loop import WorkerLoop
from eventstore.log.errors import BrokerUnreachable, LogError, PositionMissing, StaleMember, TopicMissing
from eventstore.log.port import Member
from eventstore.log.records import Position, TopicPartition
from tests.consumers.worker.bench import Bench, Gate, Placed

PLACE = TopicPartition("orders", 0)


def recorder(
    done: list[int], gate: Gate | None = None, *, held: frozenset[int] = frozenset(), concurrency: int = 1
) -> Worker:
    """A worker that notes the numbers it handled, and holds some of them at a gate."""
    worker = Worker("mailer", topics=["orders"], concurrency=concurrency)

    @worker.on
    async def confirm(event: Placed) -> None:
        if gate is not None and event.number in held:
            await gate.passed()
        done.append(event.number)

    return worker


def test_a_first_start_begins_at_the_log_s_start(bench: Bench) -> None:
    """A group without positions handles what was there before it, and commits where it starts before it works."""
    done, gate, feed = list[int](), Gate(), bench.feed()
    feed.send("a", Placed(order="a", number=1))

    loop = bench.open(recorder(done, gate, held=frozenset({1})))
    bench.drive(loop, lambda: gate.waiting == 1)
    at_start = bench.position("orders")
    gate.open()
    bench.settle(loop)

    assert (at_start, done, bench.position("orders")) == (0, [1], 1)


def test_a_successor_repeats_only_what_was_incomplete(bench: Bench) -> None:
    """W4: a worker dies while record 1 of 0…5 runs; its successor runs record 1 again and no other."""
    done, gate, feed = list[int](), Gate(), bench.feed()
    first = bench.open(recorder(done, gate, held=frozenset({1}), concurrency=4))
    for number in range(6):
        feed.send(f"o{number}", Placed(order=f"o{number}", number=number))
    bench.drive(first, lambda: sorted(done) == [0, 2, 3, 4, 5] and gate.waiting == 1)
    bench.drive(first, lambda: first.metrics()["jobs_in_flight"] == 1)
    bench.commit(first)
    committed = bench.host.log.group_positions("shop.mailer", [PLACE])[PLACE]

    bench.stop(first, drain=0.0)
    again = list[int]()
    second = bench.open(recorder(again))
    bench.settle(second)

    assert committed == Position(1, "1;5;0")
    assert again == [1]
    assert bench.position("orders") == 6


def test_a_graceful_stop_repeats_nothing(bench: Bench) -> None:
    """W15: on stop what runs is finished, and a successor runs exactly the rest."""
    done, gate, feed = list[int](), Gate(), bench.feed()
    loop = bench.open(recorder(done, gate, held=frozenset(range(10)), concurrency=2))
    for number in range(10):
        feed.send(f"o{number}", Placed(order=f"o{number}", number=number))
    bench.drive(loop, lambda: gate.waiting == 2 and loop.metrics()["jobs_in_flight"] == 10)

    gate.open()
    bench.stop(loop)
    finished = sorted(done)
    rest = list[int]()
    successor = bench.open(recorder(rest))
    bench.settle(successor)

    assert finished[:2] == [0, 1]
    assert sorted(finished + rest) == list(range(10))


def test_a_handler_that_outlasts_the_deadline_is_dropped(bench: Bench) -> None:
    """At the deadline of a stop the handler is cancelled and its record is left to the successor."""
    done, gate, feed = list[int](), Gate(), bench.feed()
    loop = bench.open(recorder(done, gate, held=frozenset({0})))
    feed.send("a", Placed(order="a", number=0))
    bench.drive(loop, lambda: gate.waiting == 1)

    bench.stop(loop, drain=0.0)
    successor = bench.open(recorder(done))
    bench.settle(successor)

    assert gate.waiting == 0
    assert done == [0]


def test_a_revoked_partition_is_drained_first(bench: Bench) -> None:
    """W5: what runs of a partition that goes to another member is finished and committed, and not run again there."""
    done, gate, feed = list[tuple[str, int]](), Gate(), bench.feed(partitions=2)

    def member(name: str) -> Worker:
        worker = Worker("mailer", topics=["orders"], concurrency=4)

        @worker.on
        async def confirm(event: Placed) -> None:
            if name == "first":
                await gate.passed()
            done.append((name, event.number))

        return worker

    feed.send("a", Placed(order="a", number=0), partition=0)
    feed.send("b", Placed(order="b", number=1), partition=1)
    first = bench.open(member("first"))
    bench.drive(first, lambda: gate.waiting == 2)
    gate.open()
    second = bench.open(member("second"))
    bench.drive(second, lambda: first.step(0.0) or (owned(second) >= 1 and are_settled(first, second)))

    assert sorted(done) == [("first", 0), ("first", 1)]


def are_settled(*loops: WorkerLoop) -> bool:
    """Whether none of them has anything to do."""
    return all(loop.is_settled() for loop in loops)


def owned(loop: WorkerLoop) -> float:
    """How many partitions it has."""
    return loop.metrics()["partitions_assigned"]


def test_a_missing_position_of_a_group_that_had_one_is_an_error(bench: Bench) -> None:
    """K12: a group that has worked and lost its positions does not start over by itself: the error says the way out."""
    done, feed = list[int](), bench.feed()
    feed.send("a", Placed(order="a", number=0))
    first = bench.open(recorder(done))
    bench.settle(first)
    bench.stop(first)
    state = bench.records(state_of("orders", "shop.mailer"))
    bench.host.log.delete(["orders"])
    feed = bench.feed()
    feed.send("a", Placed(order="a", number=0))

    loop = bench.open(recorder(done))
    with pytest.raises(PositionMissing, match="had one, and the log is not empty"):
        bench.drive(loop, lambda: False)

    assert {record.key for record in state} == {b"started orders", b"started orders.shop.mailer.redrive"}
    assert done == [0]


def test_a_topic_that_does_not_exist_is_named(bench: Bench) -> None:
    """A worker of a topic that nobody made says so when it starts."""
    bench.feed("others")

    with pytest.raises(TopicMissing, match="orders"):
        bench.open(recorder([]))


def test_positions_are_committed_daily(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """K12: positions of a quiet topic are committed again every day."""
    feed = bench.feed()
    feed.send("a", Placed(order="a"))
    loop = bench.open(recorder([]))
    bench.settle(loop)
    commits = list[dict[TopicPartition, Position]]()
    consumer = loop._consumer
    assert consumer is not None

    def commit(positions: Mapping[TopicPartition, Position], member: Member | None = None) -> None:
        commits.append(dict(positions))

    monkeypatch.setattr(consumer, "commit", commit)
    bench.commit(loop)
    bench.clock.advance(timedelta(days=1))
    bench.commit(loop)
    bench.commit(loop)

    assert commits == [{PLACE: Position(1), TopicPartition(redrive_of("orders", "shop.mailer"), 0): Position(0)}]


@pytest.mark.parametrize("failure", [StaleMember("moving"), BrokerUnreachable("broker", "for now")])
def test_the_last_commit_is_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch, failure: LogError) -> None:
    """A group that is moving takes no positions: a worker that stops waits for it, and nothing is repeated."""
    feed, done = bench.feed(), list[int]()
    loop = bench.open(recorder(done))
    bench.settle(loop)
    feed.send("a", Placed(order="a"))
    bench.drive(loop, lambda: done)
    consumer, refused = loop._consumer, [failure, failure]
    assert consumer is not None
    taken = consumer.commit

    def commit(positions: Mapping[TopicPartition, Position], member: Member | None = None) -> None:
        if refused:
            raise refused.pop()
        taken(positions, member)

    monkeypatch.setattr(consumer, "commit", commit)
    bench.stop(loop)

    assert (refused, bench.position("orders")) == ([], 1)


def test_waiting_records_are_left_to_the_successor(bench: Bench) -> None:
    """A record that waits for its next attempt when the worker stops is run by the successor, before the rest of its
    key."""
    retry = Retry(attempts=3, first=timedelta(hours=1), jitter=0)
    worker, feed, attempts = Worker("mailer", topics=["orders"], retry=retry), bench.feed(), list[int]()

    @worker.on
    async def confirm(event: Placed, context: Context) -> None:
        attempts.append(event.number)
        raise ConnectionError("mail server is away")

    feed.send("a", Placed(order="a", number=0))
    feed.send("a", Placed(order="a", number=1))
    loop = bench.open(worker)
    bench.settle(loop)
    bench.stop(loop)
    done = list[int]()
    successor = bench.open(recorder(done))
    bench.settle(successor)

    assert attempts == [0]
    assert done == [0, 1]


def test_a_process_without_partitions_is_ready_and_settled_with_the_others(bench: Bench) -> None:
    """With more members than partitions, the one that got none is ready after a while, and settled when the others
    are."""
    gate, feed = Gate(), bench.feed()
    feed.send("a", Placed(order="a"))
    loops = [bench.open(recorder([], gate, held=frozenset({0}))) for _ in range(3)]

    def step() -> None:
        bench.clock.advance(timedelta(seconds=1))
        for loop in loops:
            loop.step(0.0)

    def is_ready() -> bool:
        step()
        return gate.waiting == 1 and all(loop.is_ready() for loop in loops) and sum(map(owned, loops)) == 2

    bench.drive(loops[0], is_ready)
    idle = next(loop for loop in loops if not owned(loop))
    was_settled = idle.is_settled()
    gate.open()

    def is_done() -> bool:
        step()
        return idle.is_settled()

    bench.drive(loops[0], is_done)

    assert not was_settled


def test_limits_bound_what_is_cancelled(bench: Bench) -> None:
    """Handlers that are dropped end in their cancellation, not later."""
    ended, gate, feed = list[str](), Gate(), bench.feed()
    worker = Worker("mailer", topics=["orders"], limits=Limits(drain=timedelta(0)))

    @worker.on
    async def confirm(event: Placed) -> None:
        try:
            await gate.passed()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    feed.send("a", Placed(order="a"))
    loop = bench.open(worker)
    bench.drive(loop, lambda: gate.waiting == 1)
    bench.stop(loop, drain=0.0)

    assert ended == ["cancelled"]
