"""Listing, redriving and discarding dead letters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from consumers import dlq
from consumers.dead_letters import DeadLetter
from consumers.errors import CannotRedrive, DeadLetterMissing, NoDeadLetters, Permanent
from consumers.origin import REDRIVE, origin_of
from consumers.rate import Rate
from consumers.retry import Retry
from consumers.worker import Worker
from consumers.worker_loop import WorkerLoop
from eventstore.clock import ManualClock
from eventstore.dead_letters import ELIDED
from eventstore.log.records import Topic
from schemas import Event, MemoryRegistry, Serde
from tests.consumers.worker.bench import Bench, Paid, Placed

DLQ = "orders.shop.mailer.dlq"


@dataclass
class Mail:
    """A worker that fails until it is mended."""

    bench: Bench
    loop: WorkerLoop
    is_broken: bool = True
    done: list[str] = field(default_factory=list[str])


@pytest.fixture
def mail(bench: Bench) -> Mail:
    """A broken worker with three dead letters: orders a and b (Permanent) and a payment of c (KeyError)."""
    worker = Worker("mailer", topics=["orders"], retry=Retry(attempts=1))
    feed = bench.feed()

    @worker.on
    async def confirm(event: Placed | Paid) -> None:
        if made.is_broken:
            raise Permanent("no such address") if isinstance(event, Placed) else KeyError(event.order)
        made.done.append(event.order)

    feed.send("a", Placed(order="a"))
    feed.send("b", Placed(order="b"))
    feed.send("c", Paid(order="c"))
    made = Mail(bench, bench.open(worker))
    bench.settle(made.loop)
    return made


def orders(found: Iterable[DeadLetter]) -> list[str]:
    """The orders that dead letters are about."""
    return [dlq.entity_of(letter) for letter in found]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (dlq.Choice(), ["a", "b", "c"]),
        (dlq.Choice(error="Permanent"), ["a", "b"]),
        (dlq.Choice(type="order.paid"), ["c"]),
        (dlq.Choice(key="b"), ["b"]),
        (dlq.Choice(topic="orders", group="shop.mailer", ids=("orders/0/0",)), ["a"]),
        (dlq.Choice(error="Timeout"), []),
    ],
)
def test_a_choice_selects(mail: Mail, choice: dlq.Choice, expected: list[str]) -> None:
    """Dead letters are chosen by error class, type, key, topic, group and id."""
    assert orders(dlq.find(mail.bench.host.log, choice)) == expected


def test_redriven_ones_reach_the_failing_group_once(mail: Mail) -> None:
    """W6: after the worker was mended, what is redriven is handled, and no listing shows it any more."""
    mail.is_broken = False

    outcome = dlq.redrive(mail.bench.host.log, dlq.Choice(error="Permanent"))
    mail.bench.settle(mail.loop)

    assert orders(outcome.done) == ["a", "b"]
    assert mail.done == ["a", "b"]
    assert orders(dlq.find(mail.bench.host.log)) == ["c"]
    assert len(mail.bench.records("orders")) == 3


def test_a_redriven_record_is_what_it_was(mail: Mail) -> None:
    """Key, bytes and metadata are those of the origin; one header says where it failed and how often."""
    dlq.redrive(mail.bench.host.log, dlq.Choice(key="a"))

    original = mail.bench.records("orders")[0]
    [redriven] = mail.bench.records("orders.shop.mailer.redrive")
    assert (redriven.key, redriven.value) == (original.key, original.value)
    assert [header for header in redriven.headers if header[0] != REDRIVE] == list(original.headers)
    assert str(origin_of(redriven)) == "orders/0/0~1"


def test_a_loop_is_stopped_by_the_cap(mail: Mail) -> None:
    """A record that fails after each redrive is left alone when it has been redriven `cap` times."""
    log, choice = mail.bench.host.log, dlq.Choice(key="a")
    for _ in range(2):
        assert len(dlq.redrive(log, choice, cap=2).done) == 1
        mail.bench.settle(mail.loop)

    outcome = dlq.redrive(log, choice, cap=2)

    assert outcome.done == []
    assert [letter.id for letter in outcome.capped] == ["orders/0/0~2"]
    assert outcome.capped[0].record.topic == DLQ


def test_a_dry_run_changes_nothing(mail: Mail) -> None:
    """A dry run says what would be done."""
    log = mail.bench.host.log

    redriven, discarded = dlq.redrive(log, dlq.ALL, dry_run=True), dlq.discard(log, dlq.ALL, dry_run=True)

    assert orders(redriven.done) == orders(discarded.done) == ["a", "b", "c"]
    assert orders(dlq.find(log)) == ["a", "b", "c"]
    assert mail.bench.records("orders.shop.mailer.redrive") == []


def test_a_limit_takes_the_oldest(mail: Mail) -> None:
    """With a limit of two, the two oldest are redriven."""
    assert orders(dlq.redrive(mail.bench.host.log, dlq.ALL, limit=2).done) == ["a", "b"]
    assert orders(dlq.find(mail.bench.host.log)) == ["c"]


def test_discarded_ones_are_neither_listed_nor_redriven(mail: Mail) -> None:
    """A discarded dead letter stays in its topic and is seen no more."""
    log = mail.bench.host.log
    dlq.discard(log, dlq.Choice(key="b"))

    assert orders(dlq.redrive(log, dlq.ALL).done) == ["a", "c"]
    assert len(mail.bench.records(DLQ)) == 3


def test_a_rate_spreads_the_redrive(mail: Mail) -> None:
    """At one a second, three take two seconds."""
    clock = ManualClock()

    dlq.redrive(
        mail.bench.host.log,
        dlq.ALL,
        rate=Rate(1, per=timedelta(seconds=1)),
        clock=clock,
        wait=lambda seconds: clock.advance(timedelta(seconds=seconds)),
    )

    assert clock.monotonic() == 2.0


def test_a_dead_letter_written_twice_is_one(mail: Mail) -> None:
    """A crash between dead letter and acknowledgement doubles the record.

    By its origin it is one, and redriven once.
    """
    log, producer = mail.bench.host.log, mail.bench.host.log.producer()
    first = mail.bench.records(DLQ)[0]
    producer.send(DLQ, 0, first.key, first.value, first.headers).result(10)
    producer.close()

    assert orders(dlq.find(log)) == ["a", "b", "c"]
    dlq.redrive(log, dlq.ALL)
    assert len(mail.bench.records("orders.shop.mailer.redrive")) == 3
    assert orders(dlq.find(log)) == []


def test_an_inbox_is_redriven_into_itself(bench: Bench) -> None:
    """Only one group reads an inbox, so its dead letters enter there again, and reach the partition's owner."""
    worker, done = Worker("mail", topics=["mail.inbox"]), list[str]()
    feed = bench.feed("mail.inbox")

    @worker.on
    async def send(event: Placed) -> None:
        done.append(event.order)
        if len(done) == 1:
            raise Permanent("not now")

    feed.send("a", Placed(order="a"))
    loop = bench.open(worker)
    bench.settle(loop)
    dlq.redrive(bench.host.log, dlq.ALL)
    bench.settle(loop)

    assert done == ["a", "a"]
    assert orders(dlq.find(bench.host.log)) == []


def of_old_group(bench: Bench, *more: tuple[str, bytes]) -> None:
    """A dead letter of a group that subscribes no redrive topic."""
    log = bench.host.log
    log.create([Topic(name="orders", partitions=1), Topic(name="orders.zold.dlq", partitions=1)])
    why = {
        "topic": "orders",
        "partition": "0",
        "offset": "3",
        "group": "zold",
        "type": "E",
        "message": "",
        "attempts": "1",
    }
    headers = [(f"__dlq.errors.{name}", value.encode()) for name, value in why.items()]
    headers.append(("__dlq.errors.time", b"2026-01-01T00:00:00+00:00"))
    log.producer().send("orders.zold.dlq", 0, b"a", b"x", [*headers, *more]).result(10)


def test_what_nobody_reads_is_not_redriven(bench: Bench) -> None:
    """A dead letter of a group that subscribes no redrive topic stays, and the error says what to do."""
    of_old_group(bench)

    with pytest.raises(CannotRedrive, match=r"orders.zold.redrive does not exist"):
        dlq.redrive(bench.host.log, dlq.Choice(group="zold"))


def test_what_was_sent_before_an_error_is_not_sent_again(mail: Mail) -> None:
    """It is marked, however the redrive ends."""
    log = mail.bench.host.log
    of_old_group(mail.bench)

    with pytest.raises(CannotRedrive):
        dlq.redrive(log, dlq.ALL)

    assert [letter.group for letter in dlq.find(log)] == ["zold"]
    assert len(mail.bench.records("orders.shop.mailer.redrive")) == 3


def test_a_value_whose_topic_is_gone_holds_up_no_other(bench: Bench) -> None:
    """One that was too large for its dead letter is gone with the topic that it came from."""
    log = bench.host.log
    of_old_group(bench, (ELIDED, b"at origin"))
    log.create([Topic(name="orders.zold.redrive", partitions=1)])
    log.delete(["orders"])

    outcome = dlq.redrive(log, dlq.ALL)

    assert (outcome.done, orders(outcome.gone)) == ([], ["a"])


def test_unknown_topics_and_ids_are_named(bench: Bench) -> None:
    """A choice without a dead-letter topic, and an unknown id, each have their error."""
    log = bench.host.log
    with pytest.raises(NoDeadLetters, match="none exists"):
        list(dlq.find(log, dlq.Choice(topic="nothing")))
    with pytest.raises(DeadLetterMissing, match="no dead letter orders/0/9 waits"):
        dlq.show(log, "orders/0/9")


def test_what_others_write_to_such_a_topic_hides_no_dead_letter(mail: Mail) -> None:
    """A cluster is shared, and a name that ends in .dlq is not ours alone: it is told once and passed over."""
    log = mail.bench.host.log
    log.create([Topic(name="a.dlq", partitions=1)])
    for topic in ("a.dlq", "a.dlq", DLQ):
        log.producer().send(topic, 0, b"a", b"x").result(10)

    with capture_logs() as told:
        found = orders(dlq.find(log))

    assert found == ["a", "b", "c"]
    assert [line["topic"] for line in told if line["event"] == "not_a_dead_letter"] == ["a.dlq", DLQ]


def test_a_redriven_record_of_an_old_version_is_raised(bench: Bench) -> None:
    """S10: a dead letter of version 1 is unchanged, and the code that handles it again reads it as version 3."""

    class ChargedFirst(Event, name="card.charged", version=1):
        order: str
        amount: str

    class Charged(Event, name="card.charged", version=3):
        order: str
        cents: int
        currency: str

    @Charged.upcast(from_version=1)
    def _(old: Mapping[str, Any]) -> Mapping[str, object]:  # pyright: ignore[reportUnusedFunction]
        return {"order": old["order"], "cents": int(old["amount"]) * 100}

    @Charged.upcast(from_version=2)
    def _(old: Mapping[str, Any]) -> Mapping[str, object]:  # pyright: ignore[reportUnusedFunction]
        return {**old, "currency": "EUR"}

    registry, before, after = MemoryRegistry(), Worker("mailer", topics=["orders"]), Worker("mailer", topics=["orders"])
    handled: list[Charged] = []

    @before.on
    async def fail(event: ChargedFirst) -> None:
        raise Permanent("no such card")

    @after.on
    async def charge(event: Charged) -> None:
        handled.append(event)

    bench.host.serde = Serde(registry, [ChargedFirst])
    bench.feed().send("a", ChargedFirst(order="a", amount="12"))
    broken = bench.open(before)
    bench.settle(broken)
    bench.stop(broken)
    bench.host.serde = Serde(registry, [Charged])
    mended = bench.open(after)

    assert len(dlq.redrive(bench.host.log, dlq.Choice()).done) == 1
    bench.drive(mended, lambda: handled)

    assert handled == [Charged(order="a", cents=1200, currency="EUR")]
