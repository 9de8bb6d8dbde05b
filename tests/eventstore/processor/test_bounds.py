"""What is too large, too old or cannot be written: the partition goes on, and says what it did."""

from __future__ import annotations

from datetime import timedelta

import pytest

from eventstore.clock import ManualClock
from eventstore.log import open_log
from eventstore.processor.port import DecideContext
from eventstore.processor.topics import DEDUPLICATION_WINDOW_MS, dead_letters_of, inbox_of
from eventstore.state.memory import MemoryStateEngine
from schemas import Command, Failure, Message, Reply
from tests.eventstore.processor.counters import MESSAGES, Add, Added, Ask, Bench, Counters, Total


class Long(Reply, name="counter.long"):
    text: str


class Recite(Command[Long], to="counter", key="counter"):
    """Answer with so many characters, with an event or without."""

    counter: str
    characters: int
    with_event: bool = False


class Remind(Command[None], to="counter", key="counter"):
    """A timer whose message makes `decide` raise."""

    counter: str


class Reciting(Counters):
    """Counters that answer at length, and a timer that fails."""

    messages = (*MESSAGES, Long, Recite, Remind)

    def decide(self, state: int, message: Message, context: DecideContext[int]) -> None:
        match message:
            case Recite(characters=characters, with_event=with_event):
                if with_event:
                    context.append(Added(by=1))
                context.reply(Long(text="x" * characters))
            case Remind(counter=counter):
                context.schedule("fails", context.now + timedelta(seconds=1), Add(counter=counter, by=-1))
                context.reply(None)
            case _:
                super().decide(state, message, context)


@pytest.fixture
def bench(clock: ManualClock) -> Bench:
    bench = Bench(open_log("memory://", clock=clock), clock=clock, processors=[Reciting()])
    bench.serde.register(Reciting.messages)
    return bench


@pytest.mark.parametrize("with_event", [True, False])
def test_an_answer_that_fits_no_record_is_its_senders_fault(bench: Bench, with_event: bool) -> None:
    """K6: a reply is checked when it is given; the batch's other inputs stand, and nothing of the large one does."""
    limit = bench.log.message_max_bytes

    answer = bench.ask(Recite(counter="a", characters=limit, with_event=with_event))

    assert isinstance(answer, Failure)
    assert answer.error == "MessageTooLarge"
    assert bench.ask(Add(counter="a", by=2)) == Total(is_=2)
    assert bench.events("a") == [(0, 2)]


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_an_input_whose_id_fits_into_no_record_of_its_own_is_dead_lettered(bench: Bench, share: float) -> None:
    """K6, K7: events carry the input's id several times, and what is too large is noticed when it is written."""
    bench.post(Add(counter="a", by=1), id="i" * int(bench.log.message_max_bytes * share))
    bench.post(Add(counter="a", by=2))
    bench.run()

    assert bench.events("a") == [(0, 2)]
    assert len(bench.records(dead_letters_of(inbox_of("counter"), bench.unit.group))) == 1


def test_an_answer_that_does_not_fit_beside_its_event_is_refused(bench: Bench) -> None:
    """K1 keeps the answer in the event's metadata, where it takes a third more; alone it would have fitted."""
    fits_alone = bench.log.message_max_bytes * 9 // 10

    assert bench.ask(Recite(counter="a", characters=fits_alone)) == Long(text="x" * fits_alone)
    answer = bench.ask(Recite(counter="a", characters=fits_alone, with_event=True))

    assert isinstance(answer, Failure)
    assert answer.error == "MessageTooLarge"
    assert bench.events("a") == []


def test_a_dead_letter_that_does_not_fit_leaves_its_value_at_its_origin(bench: Bench) -> None:
    """K7: a record near the limit can be dead-lettered too; a header says where its value is."""
    bench.run()
    value = b"\0" + b"x" * (bench.log.message_max_bytes - 200)

    bench.post_bytes("a", value, ())
    bench.run(lambda: bool(bench.records("counter.inbox.bench.dlq")))

    [dead] = bench.records("counter.inbox.bench.dlq")
    assert dead.value is None
    assert dict(dead.headers)["__dlq.value"] == b"at origin"
    assert dict(dead.headers)["__dlq.errors.offset"] == b"0"


def test_a_timer_that_failed_does_not_fire_again_at_a_successor(bench: Bench, clock: ManualClock) -> None:
    """K7, K9: its end is in the log, so that a wiped folder does not bring it back."""
    bench.ask(Remind(counter="a"))
    clock.advance(timedelta(seconds=2))
    bench.run(lambda: len(bench.records("counter.inbox.bench.dlq")) == 1)
    bench.close()

    successor = Bench(
        bench.log, clock=clock, registry=bench.registry, processors=[Reciting()], state=MemoryStateEngine()
    )
    successor.run()

    assert len(successor.records("counter.inbox.bench.dlq")) == 1


def test_outcomes_are_forgotten_after_their_window(bench: Bench, clock: ManualClock) -> None:
    """K1: what no repeat can ask for any more leaves the state, and by a tombstone the state topic."""
    bench.ask(Add(counter="a", by=1), id="with event")
    bench.ask(Ask(counter="a"), id="without")
    assert _outcomes(bench) == {b"dwith event", b"dwithout"}

    clock.advance(timedelta(milliseconds=DEDUPLICATION_WINDOW_MS + 1))
    bench.ask(Add(counter="a", by=1), id="later")
    bench.ask(Add(counter="a", by=1), id="last")

    assert _outcomes(bench) == {b"dlater", b"dlast"}
    tombstones = {record.key for record in bench.records("counter.state") if record.value is None}
    assert tombstones == {b"dwithout"}


def test_a_restore_does_not_bring_old_outcomes_back(bench: Bench, clock: ManualClock) -> None:
    """K1: events stay for ever, what they say of repeats does not."""
    bench.ask(Add(counter="a", by=1), id="old")
    bench.close()
    clock.advance(timedelta(milliseconds=DEDUPLICATION_WINDOW_MS + 1))

    successor = Bench(
        bench.log, clock=clock, registry=bench.registry, processors=[Reciting()], state=MemoryStateEngine()
    )
    successor.run()

    assert _outcomes(successor) == set()
    assert successor.ask(Ask(counter="a"), id="new") == Total(is_=1)


def _outcomes(bench: Bench) -> set[bytes]:
    found = set[bytes]()
    for number in range(2):
        index = bench.unit.index("counter", number, "")
        assert index is not None
        found |= {key for key, _ in index._state.scan(b"d", b"e")}
    return found
