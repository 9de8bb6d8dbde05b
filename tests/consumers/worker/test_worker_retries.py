"""What happens to a record whose handler fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.dead_letters import dead_letter_of
from consumers.delivery import Context
from consumers.errors import Permanent, RetryAfter
from consumers.retry import Retry
from consumers.worker import Worker
from consumers.worker_loop import WorkerLoop
from schemas import Metadata
from tests.consumers.worker.bench import Bench, Gate, Paid, Placed

DLQ = "orders.shop.mailer.dlq"
SECOND = timedelta(seconds=1)


def test_attempts_follow_the_schedule(bench: Bench) -> None:
    """With first=1 s and factor 2 the attempts are at 0, 1, 3 and 7 s, and not a moment before."""
    worker = Worker("mailer", topics=["orders"], retry=Retry(attempts=4, first=SECOND, factor=2, jitter=0))
    seen, feed = list[float](), bench.feed()

    @worker.on
    async def confirm(event: Placed) -> None:
        seen.append(bench.clock.monotonic())
        raise ConnectionError("mail server is away")

    feed.send("a", Placed(order="a"))
    loop = bench.open(worker)
    for attempt, pause in enumerate((0, 1, 2, 4), 1):
        if pause:
            bench.clock.advance(timedelta(seconds=pause - 0.001))
            loop.step(0.0)
            assert len(seen) == attempt - 1
            bench.clock.advance(timedelta(seconds=0.001))
        bench.drive(loop, partial(_has, loop, seen, attempt))

    assert seen == [0, 1, 3, 7]
    bench.drive(loop, lambda: len(bench.records(DLQ)) == 1)


@given(st.integers(1, 2_000), st.floats(0, 1), st.integers(0, 2**32))
def test_delays_grow_to_the_cap_and_jitter_only_shortens(attempt: int, jitter: float, seed: int) -> None:
    """No delay is longer than the cap or shorter than what jitter may leave, for any attempt number."""
    retry = Retry(first=SECOND, factor=3, cap=timedelta(minutes=10), jitter=jitter)

    delay = retry.delay(attempt, Random(seed)).total_seconds()

    full = min(600.0, 3.0 ** min(attempt - 1, 100))
    assert full * (1 - jitter) - 1e-6 <= delay <= full + 1e-6


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"factor": 0.5}, {"jitter": 2}, {"cap": timedelta(0)}])
def test_a_wrong_policy_is_refused(wrong: dict[str, object]) -> None:
    """A policy that cannot be meant is refused where it is written."""
    with pytest.raises(ValueError, match=r"at least|share|not below|not negative"):
        Retry(**wrong)  # type: ignore[arg-type] # what is tested


def test_permanent_goes_to_the_dead_letters_at_once(bench: Bench) -> None:
    """`Permanent` is not tried again; the dead letter has key and bytes of the record, its origin and the error."""
    worker, attempts, feed = Worker("mailer", topics=["orders"]), list[int](), bench.feed()

    @worker.on
    async def confirm(event: Placed, context: Context) -> None:
        attempts.append(context.attempt)
        raise Permanent("no such address")

    feed.send("a", Placed(order="a"))
    loop = bench.open(worker)
    bench.settle(loop)

    [original], [dead] = bench.records("orders"), bench.records(DLQ)
    letter = dead_letter_of(dead)
    assert attempts == [1]
    assert (dead.key, dead.value, dead.partition) == (original.key, original.value, original.partition)
    assert tuple(letter.headers) == tuple(original.headers)
    assert (letter.id, letter.group, letter.attempts) == ("orders/0/0", "shop.mailer", 1)
    assert (letter.error, letter.reason) == ("Permanent", "no such address")
    assert loop.metrics()["jobs_dead_lettered_total"] == 1


def test_retry_after_burns_no_attempt(bench: Bench) -> None:
    """With a single attempt allowed, `RetryAfter` may postpone it any number of times."""
    worker, attempts, feed = Worker("mailer", topics=["orders"], retry=Retry(attempts=1)), list[int](), bench.feed()

    @worker.on
    async def confirm(event: Placed, context: Context) -> None:
        attempts.append(context.attempt)
        if len(attempts) < 4:
            raise RetryAfter(timedelta(seconds=10), "429")

    feed.send("a", Placed(order="a"))
    loop = bench.open(worker)
    for count in range(1, 5):
        bench.drive(loop, partial(_has, loop, attempts, count))
        bench.clock.advance(timedelta(seconds=10))

    assert attempts == [1, 1, 1, 1]
    assert loop.metrics()["jobs_completed_total"] == 1
    assert bench.records(DLQ) == []


def test_an_attempt_that_takes_too_long_is_cancelled(bench: Bench) -> None:
    """W7: a handler beyond its time-out is cancelled, its record tried again, then dead-lettered as timed out."""
    worker = Worker("mailer", topics=["orders"], retry=Retry(attempts=2, first=SECOND, jitter=0))
    gate, cancelled, feed = Gate(), list[int](), bench.feed()

    @worker.on(timeout=timedelta(seconds=30))
    async def confirm(event: Placed, context: Context) -> None:
        try:
            await gate.passed()
        except asyncio.CancelledError:
            cancelled.append(context.attempt)
            raise

    feed.send("a", Placed(order="a"))
    loop = bench.open(worker)
    for attempt in (1, 2):
        bench.drive(loop, lambda: gate.waiting == 1)
        bench.clock.advance(timedelta(seconds=30))
        bench.drive(loop, partial(_has, loop, cancelled, attempt))
        bench.clock.advance(SECOND)

    bench.drive(loop, lambda: len(bench.records(DLQ)) == 1)
    assert cancelled == [1, 2]
    assert dead_letter_of(bench.records(DLQ)[0]).error == "AttemptTimedOut"


def test_a_runner_survives_what_it_cancelled(bench: Bench) -> None:
    """After a time-out that the handler swallowed, the same runner handles the next record undisturbed."""
    worker, gate, done, feed = Worker("mailer", topics=["orders"]), Gate(), list[str](), bench.feed()

    @worker.on(timeout=timedelta(seconds=1))
    async def confirm(event: Placed) -> None:
        try:
            await gate.passed()
        except asyncio.CancelledError:
            done.append("swallowed")
        await asyncio.sleep(0)
        done.append(event.order)

    feed.send("a", Placed(order="a"))
    loop = bench.open(worker)
    bench.drive(loop, lambda: gate.waiting == 1)
    bench.clock.advance(SECOND)
    bench.drive(loop, lambda: len(done) == 2)
    gate.open()
    feed.send("b", Placed(order="b"))
    bench.settle(loop)

    assert done == ["swallowed", "a", "b"]


def test_a_type_without_handler_is_skipped_undecoded(bench: Bench) -> None:
    """W2: bytes of a type that nobody handles are not even looked at, and counted."""
    worker, done, feed = Worker("mailer", topics=["orders"]), list[str](), bench.feed()

    @worker.on
    async def confirm(event: Placed) -> None:
        done.append(event.order)

    paid = bench.host.serde.encode(Paid(order="a"))
    feed.send("a", paid[:5] + b"\xff not what the schema says")
    feed.send("a", None)
    feed.send("a", Placed(order="a"))
    loop = bench.open(worker)
    bench.settle(loop)

    assert done == ["a"]
    assert loop.metrics()["records_skipped_total"] == 2
    assert bench.records(DLQ) == []
    assert bench.position("orders") == 3


def test_a_handled_type_that_cannot_be_decoded_is_dead_lettered(bench: Bench) -> None:
    """W2: broken bytes of a handled type, and bytes of no known form, go to the dead letters; the rest is handled."""
    worker, done, feed = Worker("mailer", topics=["orders"]), list[str](), bench.feed()

    @worker.on
    async def confirm(event: Placed) -> None:
        done.append(event.order)

    placed = bench.host.serde.encode(Placed(order="a"))
    feed.send("a", placed[:5] + b"\xff\xff\xff")
    feed.send("a", b"hello")
    feed.send("a", placed)
    loop = bench.open(worker)
    bench.settle(loop)

    assert done == ["a"]
    assert [record.value for record in bench.records(DLQ)] == [placed[:5] + b"\xff\xff\xff", b"hello"]


def test_an_unknown_command_is_dead_lettered(bench: Bench) -> None:
    """W2: somebody waits for the answer to what lies in an inbox, so an unhandled type there is not skipped."""
    worker = Worker("mailer", topics=["orders.inbox"])
    feed = bench.feed("orders.inbox")

    @worker.on
    async def confirm(event: Placed) -> None: ...

    feed.send("a", Paid(order="a"))
    loop = bench.open(worker)
    bench.settle(loop)

    [dead] = bench.records("orders.inbox.shop.mailer.dlq")
    assert dead_letter_of(dead).error == "UnknownCommand"


def test_a_record_too_large_for_a_dead_letter_leaves_its_value_at_the_origin(bench: Bench) -> None:
    """A record at the size limit, which has no room for the error's headers, is dead-lettered without its value."""
    worker, feed = Worker("mailer", topics=["orders"]), bench.feed()

    @worker.on
    async def confirm(event: Placed) -> None:
        raise Permanent("too much")

    feed.send("a", Placed(order="x" * (bench.host.log.message_max_bytes - 250)))
    loop = bench.open(worker)
    bench.settle(loop)

    [dead] = bench.records(DLQ)
    assert dead.value is None
    assert dead_letter_of(dead).is_elided


def test_a_record_whose_headers_fill_a_record_is_a_dead_letter_without_the_long_ones(bench: Bench) -> None:
    """What no person would read is left at the origin, and the records behind it are handled."""
    worker, seen, feed = Worker("mailer", topics=["orders"]), list[str](), bench.feed()

    @worker.on
    async def confirm(event: Placed) -> None:
        if event.order == "bad":
            raise Permanent("never")
        seen.append(event.order)

    producer = bench.host.log.producer()
    meta = Metadata(id="bad", type=Placed.__type_name__).encode()
    long = b"x" * (bench.host.log.message_max_bytes - 500)
    producer.produce("orders", 0, b"a", bench.host.serde.encode(Placed(order="bad")), (("meta", meta), ("long", long)))
    producer.close()
    feed.send("a", Placed(order="next"))
    loop = bench.open(worker)
    bench.settle(loop)

    [dead] = bench.records(DLQ)
    assert "long" not in dict(dead.headers)
    assert dead_letter_of(dead).error == "Permanent"
    assert seen == ["next"]


def _has(loop: WorkerLoop, seen: Sequence[object], count: int) -> bool:
    """Whether so many were seen, and nothing is under way."""
    return len(seen) == count and loop.is_settled()
