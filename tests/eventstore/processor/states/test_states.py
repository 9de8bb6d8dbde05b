"""What a processor with journal="state" promises, on the memory engine."""

from __future__ import annotations

from datetime import timedelta

import pytest

from eventstore.clock import ManualClock
from eventstore.log import open_log
from eventstore.log.errors import PositionMissing
from eventstore.log.records import Topic, TopicPartition
from eventstore.processor.inputs import Answered
from eventstore.state.memory import MemoryStateEngine
from schemas import Failure, Metadata, ReplyTo, Undo
from tests.eventstore.processor.bad_ends import abort_next, end_unknown
from tests.eventstore.processor.states.tallies import (
    Add,
    AddLater,
    Forget,
    Grow,
    Look,
    Pass,
    Record,
    StopAdding,
    Tallied,
    Tallies,
    Tally,
    TallyBench,
    TooMuch,
    later,
)


@pytest.fixture
def tallies() -> Tallies:
    return Tallies()


@pytest.fixture
def bench(clock: ManualClock, tallies: Tallies) -> TallyBench:
    made = TallyBench(open_log("memory://", clock=clock), clock=clock, processors=[tallies])
    made.run()
    return made


def test_a_batch_writes_one_record_for_each_key_that_it_changed(bench: TallyBench, tallies: Tallies) -> None:
    """K1: however many inputs changed it; encoded once, and there is no topic of events."""
    bench.post_all(*(Add(sensor=sensor, amount=2) for sensor in "ab" for _ in range(50)))
    bench.run()

    assert bench.changelog("a") == [Tally(50, 100)]
    assert bench.changelog("b") == [Tally(50, 100)]
    assert tallies.encoded == 2 + 2  # and what a new key's would be, because none had one
    assert "tally.events" not in bench.log.describe()


def test_what_changes_nothing_writes_nothing(bench: TallyBench) -> None:
    """Looking, refusing and not even having a state leave no record of a state."""
    bench.post_all(Add(sensor="a", amount=2))
    bench.run()
    bench.post_all(Look(sensor="a"), Look(sensor="b"), Add(sensor="a", amount=2_000))
    bench.run()

    assert bench.changelog("a") == [Tally(1, 2)]
    assert bench.changelog("b") == []


def test_callers_are_answered(bench: TallyBench) -> None:
    """Replies and refusals, locally and where an inbox record says (K10)."""
    bench.log.create([Topic(name="answers", partitions=1)])

    assert bench.ask(Add(sensor="a", amount=3)) == Tallied(count=1, amount=3)
    assert bench.ask(Add(sensor="a", amount=1_001)) == TooMuch(limit=1_000)
    bench.post_all(Add(sensor="a", amount=4), reply=ReplyTo("answers", 0, "c-1"))
    bench.run()

    [answer] = bench.records("answers")
    assert answer.value is not None and bench.serde.decode(answer.value) == Tallied(count=2, amount=7)
    assert Metadata.decode(answer.headers[0][1]).correlation == "c-1"


@pytest.mark.parametrize("wiped", [False, True], ids=["same folder", "wiped folder"])
def test_a_repeat_that_somebody_waits_for_gets_the_first_answer(bench: TallyBench, wiped: bool) -> None:
    """K8: in one batch, in a later one, and at a successor."""
    bench.log.create([Topic(name="answers", partitions=1)])
    add = Add(sensor="a", amount=3)
    answers: list[Answered] = []
    for _ in range(3):
        bench.call(add, answers.append, id="once")
    bench.run(lambda: len(answers) == 3)
    bench.post_all(add, add, ids=["once", "posted"], reply=ReplyTo("answers", 0, "c"))
    bench.run()
    bench.close()
    successor = later(bench, state=MemoryStateEngine() if wiped else bench.state)
    successor.post_all(add, ids=["posted"], reply=ReplyTo("answers", 0, "c"))
    successor.run()

    assert [answer.message for answer in answers] == [Tallied(count=1, amount=3)] * 3
    assert successor.ask(add, id="once") == Tallied(count=1, amount=3)
    replies = [successor.serde.decode(each.value or b"") for each in bench.records("answers")]
    assert replies == [Tallied(count=1, amount=3), Tallied(count=2, amount=6), Tallied(count=2, amount=6)]
    assert successor.look("a") == (2, 6)


def test_a_repeat_that_nobody_waits_for_counts_again(bench: TallyBench) -> None:
    """The price of one record per key and batch: no outcome is kept of what nobody asked."""
    add = Add(sensor="a", amount=3)
    bench.post_all(add, add, ids=["same", "same"])
    bench.run()

    assert bench.look("a") == (2, 6)
    assert [record for record in bench.records("tally.state") if (record.key or b"")[:1] == b"d"] == []


def test_an_answer_that_is_not_final_is_given_anew(bench: TallyBench) -> None:
    """K8: outcomes that are not final are never stored."""
    bench.ask(Look(sensor="a", final=False), id="look")
    bench.ask(Add(sensor="a", amount=3))

    assert bench.ask(Look(sensor="a", final=False), id="look") == Tallied(count=1, amount=3)


def test_outcomes_are_forgotten_after_the_window(bench: TallyBench, clock: ManualClock) -> None:
    """K1, K8: eight days later the outcome is a tombstone, and the state is not."""
    bench.ask(Add(sensor="a", amount=3), id="once")
    clock.advance(timedelta(days=8, seconds=1))
    bench.ask(Add(sensor="a", amount=3))
    bench.run()

    records = [record for record in bench.records("tally.state") if record.key == b"donce"]
    assert [record.value is None for record in records] == [False, True]
    assert bench.look("a") == (2, 6)


def test_a_deleted_state_leaves_a_tombstone_and_begins_anew(bench: TallyBench) -> None:
    """Deleted, changed and deleted again in one batch: the last word counts."""
    bench.post_all(Add(sensor="a", amount=3), Add(sensor="b", amount=3))
    bench.run()
    bench.post_all(Forget(sensor="a"), Forget(sensor="b"), Add(sensor="b", amount=5), Add(sensor="c", amount=1))
    bench.run()
    bench.post_all(Forget(sensor="a"), Add(sensor="c", amount=1), Forget(sensor="c"))
    bench.run()

    assert bench.changelog("a") == [Tally(1, 3), None]
    assert bench.changelog("b") == [Tally(1, 3), Tally(1, 5)]
    assert bench.changelog("c") == [Tally(1, 1), None]
    assert bench.look("a") == (0, 0)
    assert {key for key in bench.rows() if key[:1] == b"k"} == {b"kb"}


def test_a_wiped_state_comes_back_equal(bench: TallyBench, clock: ManualClock) -> None:
    """K1: every row follows from the log."""
    for number in range(20):
        bench.post_all(Add(sensor=f"s{number % 3}", amount=number))
        bench.ask(Add(sensor=f"s{number % 4}", amount=number), id=f"ask {number}")
        clock.advance(timedelta(milliseconds=10))
    bench.ask(AddLater(sensor="s1", amount=1, after_ms=60_000))
    bench.ask(AddLater(sensor="s2", amount=1, after_ms=60_000))
    bench.ask(StopAdding(sensor="s2"))
    bench.ask(Forget(sensor="s3"))
    bench.run()
    before = bench.rows()
    bench.close()

    successor = later(bench, state=MemoryStateEngine())
    successor.run()

    assert successor.rows() == before
    assert successor.look("s1") == bench_sum(1)


def bench_sum(number: int) -> tuple[int, int]:
    """What was added to the sensor of this number above."""
    added = [n for n in range(20) if n % 3 == number] + [n for n in range(20) if n % 4 == number]
    return len(added), sum(added)


def test_one_that_fails_leaves_nothing_and_its_neighbours_stand(bench: TallyBench) -> None:
    """K7: also of a state that others of the batch changed in place before and after it."""
    good = [Add(sensor="a", amount=amount) for amount in (1, 2, 4)]
    bad = Add(sensor="a", amount=-8)
    bench.post_all(good[0], bad, good[1], Add(sensor="b", amount=-1), bad, good[2], Add(sensor="c", amount=5))
    bench.run()

    assert [bench.look(sensor) for sensor in "abc"] == [(3, 7), (0, 0), (1, 5)]
    assert len(bench.records("tally.inbox.bench.dlq")) == 3
    assert bench.look("never") == (0, 0)


def test_a_caller_learns_that_its_input_failed(bench: TallyBench) -> None:
    """K7: while those beside it in the batch are answered."""
    answers: list[Answered] = []
    for amount in (1, -1, 2):
        bench.call(Add(sensor="a", amount=amount), answers.append)
    bench.run(lambda: len(answers) == 3)

    assert [type(answer.message) for answer in answers] == [Tallied, Failure, Tallied]
    assert bench.look("a") == (2, 3)


def test_a_state_that_is_too_large_fails_the_input_that_made_it(bench: TallyBench) -> None:
    """K6, K7: the one that grew it is dead-lettered, wherever it stands in the batch, a timer's message too."""
    bench.post_all(Add(sensor="a", amount=1), Grow(sensor="a", by=2_000_000), Add(sensor="a", amount=2))
    bench.run()

    assert bench.look("a") == (2, 3)
    [dead] = bench.records("tally.inbox.bench.dlq")
    assert dict(dead.headers)["__dlq.errors.type"] == b"MessageTooLarge"


def test_an_event_is_refused_by_name(bench: TallyBench) -> None:
    """There is no topic for it."""
    answer = bench.ask(Record(sensor="a"))

    assert isinstance(answer, Failure)
    assert answer.error == "NoEventsKept"


def test_a_timer_fires_at_its_time_and_once(bench: TallyBench, clock: ManualClock) -> None:
    """K9: also at a successor whose folder was wiped; a cancelled one does not."""
    bench.post_all(AddLater(sensor="a", amount=5, after_ms=1_000), AddLater(sensor="b", amount=5, after_ms=1_000))
    bench.run()
    bench.ask(StopAdding(sensor="b"))
    bench.close()
    clock.advance(timedelta(seconds=1))
    for _ in range(2):
        successor = later(bench, state=MemoryStateEngine())
        successor.run()
        assert successor.look("a") == (1, 5)
        assert successor.look("b") == (0, 0)
        successor.close()


def test_what_waited_in_the_inbox_comes_before_the_timer(bench: TallyBench, clock: ManualClock) -> None:
    """K9: a message that cancels an overdue timer is read before it fires."""
    bench.ask(AddLater(sensor="a", amount=5, after_ms=1_000))
    bench.close()
    bench.post_all(StopAdding(sensor="a"))
    clock.advance(timedelta(seconds=10))
    successor = later(bench)
    successor.run()

    assert successor.look("a") == (0, 0)


def test_what_is_sent_arrives_once(bench: TallyBench) -> None:
    """Outputs are in the transaction of the state that they follow from."""
    bench.post_all(*(Pass(sensor="a", other="b") for _ in range(10)))
    bench.run()

    assert bench.look("a") == (10, 0)
    assert bench.look("b") == (10, 10)


def test_an_aborted_batch_is_decided_again(bench: TallyBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """K6: nothing of an aborted batch is left in the states."""
    bench.post_all(Add(sensor="a", amount=1))
    bench.run()
    failures = abort_next(bench, monkeypatch)
    bench.post_all(Add(sensor="a", amount=2), Pass(sensor="a", other="b"))
    bench.run()

    assert not failures
    assert bench.look("a") == (3, 3)
    assert bench.look("b") == (1, 1)


@pytest.mark.parametrize("happened", [True, False])
def test_an_unknown_outcome_is_resolved_from_the_log(
    bench: TallyBench, monkeypatch: pytest.MonkeyPatch, happened: bool
) -> None:
    """K6: records by their position, calls by their outcome: both count once."""
    transactor = bench.unit._commits.transactor
    end_unknown(bench, monkeypatch, happened=happened)
    bench.post_all(Add(sensor="a", amount=2))

    assert bench.ask(Add(sensor="b", amount=3)) == Tallied(count=1, amount=3)
    bench.run()
    assert bench.unit._commits.transactor is not transactor
    assert bench.look("a") == (1, 2)
    assert bench.look("b") == (1, 3)


def test_a_stray_record_is_forwarded(bench: TallyBench) -> None:
    """K11: a record on the wrong partition is moved to the right one and counts once."""
    producer = bench.log.producer()
    for number in range(2):
        meta = Metadata(id=f"stray {number}", type="tally.add")
        value = bench.serde.encode(Add(sensor="a", amount=1))
        producer.produce("tally.inbox", number, b"a", value, (("meta", meta.encode()),))
    producer.flush()
    bench.run()

    assert bench.look("a") == (2, 2)
    assert bench.changelog("a")[-1] == Tally(2, 2)


def test_undecodable_records_are_dead_lettered(bench: TallyBench) -> None:
    """K7: without metadata, key or known bytes; the rest of the batch stands."""
    value = bench.serde.encode(Add(sensor="a", amount=1))
    meta = (("meta", Metadata(id="m").encode()),)
    for key, content, headers in (
        (b"a", value, ()),
        (b"a", value, (("other", b""),)),
        (b"a", b"\0rubbish", meta),
        (b"a", None, meta),
        (b"\xff", value, meta),
        (None, value, meta),
    ):
        producer = bench.log.producer()
        producer.produce("tally.inbox", 0, key, content, headers)
        producer.flush()
        producer.close()
    bench.post_all(Add(sensor="a", amount=1))
    bench.run()

    assert bench.look("a") == (1, 1)
    assert len(bench.records("tally.inbox.bench.dlq")) == 6


def test_a_state_of_newer_code_waits_for_it(bench: TallyBench) -> None:
    """K7: during a rolling deploy, inputs of a key whose state this code cannot read are stashed, not lost."""
    newer = Tallies()
    newer.version = 2
    bench.close()
    first = later(bench, processors=[newer])
    first.post_all(Add(sensor="a", amount=1))
    first.run()
    first.close()
    older = later(bench)
    older.post_all(Add(sensor="a", amount=2), Add(sensor="b", amount=2))
    older.run()
    assert older.look("b") == (1, 2)
    older.close()

    last = later(bench, processors=[newer], state=MemoryStateEngine())
    last.run()

    assert last.look("a") == (2, 3)
    assert last.records("tally.inbox.bench.dlq") == []


def test_the_undo_of_what_was_never_done_does_nothing_and_a_late_do_is_refused(bench: TallyBench) -> None:
    """P2: a processor of states is a saga's participant like any other; the guard survives a wiped folder."""
    step = {"saga": "trip/1", "step": "hotel"}
    bench.serde.register([Undo[Add]])
    bench.log.create([Topic(name="answers", partitions=1)])
    add = Add(sensor="a", amount=1)
    post(bench, Undo[Add](did=add), {**step, "role": "undo"})
    bench.run()
    bench.close()
    successor = later(bench, state=MemoryStateEngine())
    post(successor, add, {**step, "role": "do"})
    successor.run()

    assert successor.look("a") == (0, 0)
    assert successor.changelog("a") == []


def post(bench: TallyBench, command: Add | Undo[Add], attributes: dict[str, str]) -> None:
    meta = Metadata(id=f"{attributes['role']}", type=command.__type_name__, attributes=attributes)
    producer = bench.log.producer()
    for number in range(2):
        if number == bench_partition("a"):
            producer.produce("tally.inbox", number, b"a", bench.serde.encode(command), (("meta", meta.encode()),))
    producer.flush()
    producer.close()


def bench_partition(key: str) -> int:
    from eventstore.log.partition import partition_of

    return partition_of(key, 2)


def test_states_without_a_position_are_an_error_with_the_way_out(bench: TallyBench) -> None:
    """K12: nobody knows which records of the inbox the states count; starting over would count them twice."""
    bench.post_all(Add(sensor="a", amount=1))
    bench.run()
    bench.close()
    orphan = later(bench, service="other")

    with pytest.raises(PositionMissing, match=r"sagalog group reset other --topic tally\.inbox"):
        orphan.run()


def test_states_are_read_again_when_they_were_not_kept(bench: TallyBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoded states are bounded; those that were let go come from the rows."""
    monkeypatch.setattr("eventstore.processor.changelog.STATES_KEPT", 3)
    for _ in range(3):
        bench.post_all(*(Add(sensor=f"s{number}", amount=1) for number in range(20)))
        bench.run()

    assert [bench.look(f"s{number}") for number in range(20)] == [(3, 3)] * 20


def test_its_positions_are_read_from_the_group(bench: TallyBench) -> None:
    """K2: each transaction names its partitions, so that nothing is counted twice by a successor."""
    bench.post_all(*(Add(sensor=f"s{number}", amount=1) for number in range(20)))
    bench.run()
    partitions = [TopicPartition("tally.inbox", number) for number in range(2)]

    found = bench.log.group_positions("bench", partitions)

    assert {at: one.offset for at, one in found.items() if one} == bench.log.end_positions(partitions)
