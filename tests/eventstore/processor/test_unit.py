"""What the kernel promises, on the memory engine: rules K1, K2, K6–K11 and P2."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from eventstore.clock import ManualClock
from eventstore.log import open_log
from eventstore.log.errors import TopicMissing, TransactionAborted
from eventstore.log.records import Topic, TopicPartition
from eventstore.processor.context import derived_id
from eventstore.processor.inputs import Answered
from eventstore.processor.port import DecideContext, Destination
from eventstore.state.memory import MemoryStateEngine
from schemas import Command, Failure, Message, Metadata, ReplyTo, Undo
from tests.eventstore.processor.bad_ends import abort_next, end_unknown
from tests.eventstore.processor.counters import (
    Add,
    Added,
    AddLater,
    Ask,
    Bench,
    Counters,
    StopAdding,
    Tell,
    TooMuch,
    Total,
    records_of,
)


def later(bench: Bench, **changes: object) -> Bench:
    """Another process of the same service, after this one was closed."""
    return Bench(bench.log, clock=bench.clock, registry=bench.registry, **changes)  # type: ignore[arg-type] # options of Bench


def test_a_call_records_its_event_and_gets_its_reply(bench: Bench) -> None:
    """A local call is decided, its event is in the log, and its caller is answered."""
    assert bench.ask(Add(counter="a", by=3)) == Total(is_=3)
    assert bench.ask(Add(counter="a", by=4)) == Total(is_=7)

    assert bench.events("a") == [(0, 3), (1, 4)]


def test_a_refusal_is_an_answer_and_records_nothing(bench: Bench) -> None:
    """A refused command leaves no event."""
    assert bench.ask(Add(counter="a", by=101)) == TooMuch(limit=100)

    assert bench.events("a") == []


def test_an_inbox_record_is_answered_where_it_says(bench: Bench) -> None:
    """The reply goes to the topic, partition and correlation that the command carried (K10)."""
    bench.log.create([Topic(name="answers", partitions=3)])
    bench.run()

    bench.post(Add(counter="a", by=3), reply=ReplyTo("answers", 2, "c-1"))
    bench.run(lambda: bool(records_of(bench.log, "answers")))

    [record] = records_of(bench.log, "answers")
    assert record.partition == 2
    assert record.value is not None and bench.serde.decode(record.value) == Total(is_=3)
    assert Metadata.decode(record.headers[0][1]).correlation == "c-1"


@pytest.mark.parametrize(
    "address",
    [
        ReplyTo("gone.replies", 0, "c"),
        ReplyTo("gone.inbox", 0, "c"),
        ReplyTo("answers", 9, "c"),
        ReplyTo("", 0, "c"),
        ReplyTo("no topic/", 0, "c"),
        ReplyTo("__consumer_offsets", 0, "c"),
        ReplyTo("counter.events", 0, "c", "a/0"),
        ReplyTo("counter.state", 0, "c", "key"),
    ],
)
def test_an_answer_that_has_no_place_keeps_nothing_from_happening(bench: Bench, address: ReplyTo) -> None:
    """K10: whoever asked has gone, and its topic with it; or there never was one that takes answers."""
    bench.log.create([Topic(name="answers", partitions=1)])
    bench.post(Add(counter="a", by=3), reply=address)
    bench.post(Add(counter="a", by=4), reply=ReplyTo("answers", 0, "d"))
    bench.run()

    assert bench.events("a") == [(0, 3), (1, 4)]
    assert len(records_of(bench.log, "answers")) == 1


@pytest.mark.parametrize("by", ["a record", "a timer"])
def test_an_answer_that_its_topic_refuses_keeps_nothing_from_happening(bench: Bench, by: str) -> None:
    """K6, K7: the input stands, and so do all others. One by a timer came again for ever, and what was in the inbox
    meanwhile became dead letters."""
    bench.log.create([Topic(name="compacted", partitions=1, compacted=True)])
    bench = later(bench, service="telling", processors=[Telling()])
    if by == "a record":
        bench.post(Add(counter="a", by=3), reply=ReplyTo("compacted", 0, "c"))
    else:
        bench.post(AddLater(counter="a", by=3, after_ms=0))
    bench.run(lambda: len(bench.events("a")) == 1)
    bench.post(Add(counter="a", by=4))
    bench.run()

    assert bench.events("a") == [(0, 3), (1, 4)]
    assert bench.records("counter.inbox.telling.dlq") == []


class Telling(Counters):
    """Tells of what a timer added, where no answer may go to."""

    def decide(self, state: int, message: Message, context: DecideContext[int]) -> None:
        super().decide(state, message, context)
        if context.metadata.id.startswith("timer:"):
            context.send_to(ReplyTo("compacted", 0, "c"), Total(is_=context.state))


def test_events_are_never_dropped_like_answers(bench: Bench) -> None:
    """A topic of events that somebody deleted stops the unit; no call is answered as if its events were kept."""
    answers: list[Answered] = []
    bench.run()
    bench.log.delete(["counter.events"])
    bench.call(Add(counter="a", by=3), answers.append)

    with pytest.raises(TopicMissing, match=r"counter\.events"):
        bench.run(lambda: bool(answers))
    assert not answers


class Forwarding(Counters):
    """Sends to a place that was recorded when there was one."""

    def decide(self, state: int, message: Message, context: DecideContext[int]) -> None:
        context.append(Added(by=1))
        context.send(Add(counter="b", by=1), to=Destination("gone.inbox", 0, "b"))
        context.reply(None)


class Numbering(Counters):
    """Makes an id for each input."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[str, str] = {}

    def decide(self, state: int, message: Message, context: DecideContext[int]) -> None:
        self.made[context.metadata.id] = context.new_id()
        context.append(Added(by=1))
        context.reply(None)


def test_an_id_follows_from_its_input_alone(clock: ManualClock) -> None:
    """Whatever else is in the batch: one that is tried again, and smaller, makes the same ids, so that those who get
    its commands know them for repeats (K8)."""
    numbering, answers = Numbering(), list[Answered]()
    bench = Bench(open_log("memory://", clock=clock), clock=clock, processors=[numbering])
    bench.run()
    for name in ("one", "two", "three"):
        bench.call(Ask(counter="a"), answers.append, id=name)
    bench.run(lambda: len(answers) == 3)

    assert numbering.made == {name: derived_id(name, 1) for name in ("one", "two", "three")}


def test_a_command_is_never_dropped_like_an_answer(clock: ManualClock) -> None:
    """K10: without its inbox it stops the unit, named; nothing else of its batch happens either."""
    bench, answers = Bench(open_log("memory://", clock=clock), clock=clock, processors=[Forwarding()]), list[Answered]()
    bench.run()
    bench.call(Ask(counter="a"), answers.append)

    with pytest.raises(TopicMissing, match=r"gone\.inbox"):
        bench.run(lambda: bool(answers))
    assert bench.events("a") == []


def test_a_repeat_gets_the_stored_reply(bench: Bench) -> None:
    """K8: the same id is decided once, also within one batch and over the inbox."""
    answers: list[Answered] = []
    bench.run()
    for _ in range(3):
        bench.call(Add(counter="a", by=3), answers.append, id="once")
    bench.run(lambda: len(answers) == 3)
    bench.post(Add(counter="a", by=3), id="once")
    bench.run()

    assert [answer.message for answer in answers] == [Total(is_=3)] * 3
    assert bench.events("a") == [(0, 3)]


@pytest.mark.parametrize("wiped", [False, True], ids=["same folder", "wiped folder"])
def test_a_successor_knows_outcomes_with_and_without_events(bench: Bench, wiped: bool) -> None:
    """K1, K8: a repeat after a failover gets the first answer, whether the input made events or not."""
    first = bench.ask(Add(counter="a", by=3), id="with")
    refused = bench.ask(Add(counter="a", by=101), id="without")
    bench.close()

    successor = later(bench, state=MemoryStateEngine() if wiped else bench.state)

    assert successor.ask(Add(counter="a", by=3), id="with") == first
    assert successor.ask(Add(counter="a", by=101), id="without") == refused
    assert successor.ask(Ask(counter="a")) == Total(is_=3)
    assert successor.events("a") == [(0, 3)]


def test_a_wiped_state_comes_back_equal(bench: Bench, clock: ManualClock) -> None:
    """K1: every row of the state follows from the log."""
    for number in range(20):
        bench.ask(Add(counter=f"c{number % 3}", by=number), id=f"add {number}")
        clock.advance(timedelta(milliseconds=10))
    bench.ask(Add(counter="c1", by=101), id="refused")
    bench.ask(AddLater(counter="c1", by=1, after_ms=60_000), id="later")
    bench.ask(AddLater(counter="c2", by=1, after_ms=60_000), id="later2")
    bench.ask(StopAdding(counter="c2"), id="stop")
    before = {at: rows(bench, at.partition) for at in partitions()}
    bench.close()

    successor = later(bench, state=MemoryStateEngine())
    successor.run()

    assert {at: rows(successor, at.partition) for at in partitions()} == before


def partitions() -> list[TopicPartition]:
    return [TopicPartition("counter.inbox", number) for number in range(2)]


def rows(bench: Bench, partition: int) -> dict[bytes, bytes]:
    """All rows of a served partition but the one that says how far it goes."""
    index = bench.unit.index("counter", partition, "")
    assert index is not None
    return {key: value for key, value in index._state.scan(b"") if key != b"m"}


def test_a_poisonous_message_is_dead_lettered_and_the_rest_stands(bench: Bench) -> None:
    """K7: the outputs of the one that raised are dropped; its neighbours in the batch are not."""
    answers: list[Answered] = []
    bench.run()
    for by in (1, -5, 2):
        bench.call(Add(counter="a", by=by), answers.append)
    bench.run(lambda: len(answers) == 3)

    assert answers[0].message == Total(is_=1)
    assert isinstance(answers[1].message, Failure) and answers[1].message.error == "ValueError"
    assert answers[2].message == Total(is_=3)
    assert bench.events("a") == [(0, 1), (1, 2)]
    [dead] = bench.records("counter.inbox.bench.dlq")
    assert dict(dead.headers)["__dlq.errors.type"] == b"ValueError"


def test_undecodable_bytes_are_dead_lettered_unchanged(bench: Bench) -> None:
    """K7: what cannot be decoded goes to the dead letters with key, value and headers, and the partition goes on."""
    bench.run()
    bench.post_bytes("a", b"\x00garbage", (("meta", b"no json"),))
    bench.post(Add(counter="a", by=1))
    bench.run(lambda: bench.events("a") == [(0, 1)])

    [dead] = bench.records("counter.inbox.bench.dlq")
    assert (dead.key, dead.value, dead.headers[0]) == (b"a", b"\x00garbage", ("meta", b"no json"))


def test_a_timer_fires_at_its_time_and_once(bench: Bench, clock: ManualClock) -> None:
    """K9: a timer is an input at its time; a successor does not fire it again."""
    bench.ask(AddLater(counter="a", by=5, after_ms=1_000))
    clock.advance(timedelta(milliseconds=999))
    bench.run()
    assert bench.events("a") == []

    clock.advance(timedelta(milliseconds=1))
    bench.run(lambda: bench.events("a") == [(0, 5)])
    bench.close()
    clock.advance(timedelta(hours=1))
    successor = later(bench, state=MemoryStateEngine())
    successor.run()

    assert successor.events("a") == [(0, 5)]


def test_a_cancelled_timer_does_not_fire(bench: Bench, clock: ManualClock) -> None:
    """A timer that was cancelled is gone, also for a successor that restores it."""
    bench.ask(AddLater(counter="a", by=5, after_ms=1_000))
    bench.ask(StopAdding(counter="a"))
    bench.close()
    clock.advance(timedelta(seconds=10))
    successor = later(bench, state=MemoryStateEngine())
    successor.run()

    assert successor.events("a") == []


def test_what_waited_in_the_inbox_comes_before_the_timer(bench: Bench, clock: ManualClock) -> None:
    """K9: after an outage, the message that cancels a timer is read before the overdue timer fires."""
    bench.ask(AddLater(counter="a", by=5, after_ms=1_000))
    bench.close()
    bench.post(StopAdding(counter="a"))
    clock.advance(timedelta(seconds=10))

    successor = later(bench)
    successor.run()

    assert successor.events("a") == []


def test_a_command_to_another_processor_arrives_once(bench: Bench) -> None:
    """What `decide` sends is in the destination's inbox once, under an id that a retry repeats."""
    bench.ask(Tell(counter="a", other="b"), id="tell")
    bench.ask(Tell(counter="a", other="b"), id="tell")
    bench.run()

    assert bench.ask(Ask(counter="b")) == Total(is_=1)


def test_an_aborted_batch_is_decided_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """K6: nothing of an aborted batch is left, and its inputs are decided again in order."""
    bench.ask(Add(counter="a", by=1))
    failures = abort_next(bench, monkeypatch)
    bench.post(Add(counter="a", by=2))

    assert bench.ask(Add(counter="a", by=3)) in (Total(is_=6), Total(is_=4))
    bench.run()
    assert not failures
    assert sorted(bench.events("a")) in ([(0, 1), (1, 2), (2, 3)], [(0, 1), (1, 3), (2, 2)])


def test_positions_that_could_not_be_sent_leave_no_transaction_open(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K6: what moved without output is sent with a later batch; the transaction that failed is ended."""
    bench.run()
    commits = bench.unit._commits
    transactor = commits.transactor
    assert transactor is not None
    committed, failures = transactor.commit, [TransactionAborted("nothing happened")]

    def commit(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return committed(*arguments)

    monkeypatch.setattr(transactor, "commit", commit)
    monkeypatch.setattr(commits, "_sent", {})
    monkeypatch.setattr(commits, "is_due", lambda: bool(failures))
    bench.run(lambda: not failures)

    assert bench.ask(Add(counter="a", by=3)) == Total(is_=3)
    assert commits.transactor is transactor


@pytest.mark.parametrize("happened", [True, False])
def test_an_unknown_outcome_is_resolved_from_the_log(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, happened: bool
) -> None:
    """K6: the caller learns what the log says, and the input took effect once either way."""
    bench.ask(Add(counter="a", by=1))
    transactor = bench.unit._commits.transactor
    end_unknown(bench, monkeypatch, happened=happened)

    assert bench.ask(Add(counter="a", by=3)) == Total(is_=4)
    assert bench.events("a") == [(0, 1), (1, 3)]
    assert bench.unit._commits.transactor is not transactor


def test_calls_for_a_lost_partition_are_passed_on(bench: Bench) -> None:
    """K10: a call whose partition is not here goes elsewhere, under its id."""
    bench.run()
    other = later(bench, slot="1", state=MemoryStateEngine())
    for _ in range(200):
        bench.unit.step(0.001)
        other.unit.step(0.001)
    answers: list[Answered] = []
    for key in "abcdefgh":
        bench.call(Add(counter=key, by=1), answers.append, id=key)
    for _ in range(50):
        bench.unit.step(0.001)

    assert bench.moved and answers
    assert {call.metadata.id for call in bench.moved} | {one.call.metadata.id for one in answers} == set("abcdefgh")


def test_a_stray_record_is_forwarded(bench: Bench) -> None:
    """K11: a record on the wrong partition is moved to the right one and handled there once."""
    bench.run()
    metadata = Metadata(id="stray", type="add")
    producer = bench.log.producer()
    for number in range(2):
        producer.produce(
            "counter.inbox", number, b"a", bench.serde.encode(Add(counter="a", by=1)), (("meta", metadata.encode()),)
        )
    producer.flush()
    bench.run()

    assert bench.events("a") == [(0, 1)]


def test_the_undo_of_what_was_never_done_does_nothing_and_a_late_do_is_refused(bench: Bench) -> None:
    """P2: undo before do; the guard survives a wiped folder."""
    step = {"saga": "trip/1", "step": "hotel"}
    bench.log.create([Topic(name="answers", partitions=1)])
    bench.run()
    bench.post(Undo[Add](did=Add(counter="a", by=1)), attributes={**step, "role": "undo"})
    bench.run()
    bench.close()
    successor = later(bench, state=MemoryStateEngine())
    successor.run()
    successor.post(Add(counter="a", by=1), attributes={**step, "role": "do"}, reply=ReplyTo("answers", 0, "c"))
    successor.run(lambda: bool(records_of(bench.log, "answers")))

    assert successor.events("a") == []
    [answer] = records_of(bench.log, "answers")
    assert answer.value is not None
    assert successor.serde.decode(answer.value) == Failure(
        error="LateDo", detail="its undo was handled before", final=True
    )


def test_an_input_of_unknown_type_waits_for_code_that_knows_it(bench: Bench) -> None:
    """K7: during a rolling deploy, a newer message is stashed and handled by the first owner that has its class."""
    bench.run()
    newer = Bench(bench.log, service="newer", clock=bench.clock, registry=bench.registry, processors=[Newer()])
    newer.serde.register([DoubleIt])
    metadata = Metadata(id="newer", type="double_it")
    bench.post(Add(counter="a", by=2))
    bench.post_bytes("a", newer.serde.encode(DoubleIt(counter="a")), (("meta", metadata.encode()),))
    bench.run()
    assert bench.events("a") == [(0, 2)]
    bench.close()

    successor = later(bench, processors=[Newer()], state=MemoryStateEngine())
    successor.serde.register([DoubleIt])
    successor.run(lambda: len(bench.events("a")) == 2)
    successor.close()
    again = later(bench, processors=[Newer()], state=MemoryStateEngine())
    again.run()

    assert again.events("a") == [(0, 2), (1, 2)]
    assert bench.records("counter.inbox.bench.dlq") == []


class DoubleIt(Command[None], to="counter", key="counter"):
    """A command that older code does not know."""

    counter: str


class Newer(Counters):
    """A later version of the processor."""

    def decide(self, state: int, message: Message, context: DecideContext[int]) -> None:
        if isinstance(message, DoubleIt):
            context.append(Added(by=state))
            context.reply(None)
        else:
            super().decide(state, message, context)
