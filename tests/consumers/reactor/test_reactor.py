"""What a reactor promises: each event's commands exactly once, and nothing of an event whose handler fails."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from consumers import Reactor
from consumers.positions import reset
from consumers.reactor_loop import ReactorLoop
from eventstore.clock import Clock, ManualClock, SystemClock
from eventstore.log import open_log
from eventstore.log.errors import OutcomeUnknown, PositionMissing, TopicMissing, TransactionAborted
from eventstore.log.port import Log
from eventstore.log.records import Record, Topic, TopicPartition
from eventstore.process_host import ProcessHost
from eventstore.state.memory import MemoryStateEngine
from eventstore.streams import Recorded
from schemas import Command, DefinitionError, Event, MemoryRegistry, Metadata, Serde
from tests.consumers.committers import Committers
from tests.eventstore.processor.counters import records_of


class Happened(Event, name="reactor.happened"):
    """Something that leads to commands."""

    times: int


class Ignored(Event, name="reactor.ignored"):
    """Something that leads to none."""


class Act(Command[None], to="actor", key="what"):
    """What shall follow."""

    what: str


reactor = Reactor("reacting", topics=["source.events"])


@reactor.on
def happened(event: Happened, recorded: Recorded[Happened]) -> Iterator[Command[Any, Any]]:
    for number in range(event.times):
        if number == 3:
            raise ValueError("never more than three")
        yield Act(what=f"{recorded.stream}/{recorded.version}/{number}")


class World:
    """A log with events, and a reactor that is stepped by hand."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.log: Log = open_log("memory://")
        self.serde = Serde(MemoryRegistry(), [Happened, Ignored, Act])
        self.host = ProcessHost(
            service="test",
            slot="0",
            log=self.log,
            serde=self.serde,
            state=MemoryStateEngine(),
            clock=clock or SystemClock(),
        )
        self.make_source()
        self.versions = 0
        self.loop = self.start()

    def make_source(self) -> None:
        self.log.create([Topic(name="source.events", partitions=2, compacted=True)])

    def start(self) -> ReactorLoop:
        """A process of the service."""
        [make] = reactor.__component__().loops
        loop = make(self.host)
        assert isinstance(loop, ReactorLoop)
        loop.open()
        return loop

    def append(self, *events: Event) -> None:
        """Put events of one stream into the log."""
        producer = self.log.producer()
        for event in events:
            metadata = Metadata(id=f"event {self.versions}", type=event.__type_name__)
            key = f"s/{self.versions}".encode()
            producer.produce("source.events", 0, key, self.serde.encode(event), (("meta", metadata.encode()),))
            self.versions += 1
        producer.close()

    def run(self) -> None:
        """Step until the reactor has nothing to do."""
        for _ in range(2_000):
            self.loop.step(0.001)
            if self.loop.is_settled():
                return
        raise AssertionError("the reactor did not settle")

    def acts(self) -> list[str]:
        """What was commanded, in order."""
        decoded = [self.serde.decode(record.value or b"") for record in self.records("actor.inbox")]
        return sorted(act.what for act in decoded if isinstance(act, Act))

    def records(self, topic: str) -> list[Record]:
        """Everything committed in a topic."""
        return records_of(self.log, topic)


def test_an_event_leads_to_its_commands() -> None:
    """Commands go to their destination's inbox; types without a handler are skipped and counted."""
    world = World()

    world.append(Happened(times=2), Ignored(), Happened(times=1))
    world.run()

    assert world.acts() == ["s/0/0", "s/0/1", "s/2/0"]
    assert world.loop.metrics()["reactor_skipped_total"] == 1


def test_a_restarted_reactor_goes_on_where_it_was() -> None:
    """Positions are in the same transaction as the commands."""
    world = World()
    world.append(Happened(times=1))
    world.run()
    world.loop.stop(0)

    world.append(Happened(times=1))
    world.loop = world.start()
    world.run()

    assert world.acts() == ["s/0/0", "s/1/0"]


@pytest.mark.parametrize(
    ("error", "happened"), [(TransactionAborted, False), (OutcomeUnknown, True), (OutcomeUnknown, False)]
)
def test_commands_are_sent_once_whatever_the_end_of_a_commit(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception], happened: bool
) -> None:
    """K6: an aborted batch is tried again; of an unknown one the committed positions tell."""
    world = World()
    world.append(Happened(times=1))
    world.run()
    transactor = world.loop._transactor
    assert transactor is not None
    real, failures = transactor.commit, [error("injected")]

    def commit(*arguments: Any) -> Any:
        if not failures:
            return real(*arguments)
        if happened:
            real(*arguments)
        else:
            transactor.abort()
        raise failures.pop()

    monkeypatch.setattr(transactor, "commit", commit)

    world.append(Happened(times=2))
    world.run()

    assert not failures
    assert world.acts() == ["s/0/0", "s/1/0", "s/1/1"]


def test_an_event_that_cannot_be_handled_is_dead_lettered_whole() -> None:
    """What the handler yielded before it raised is not sent; the events after it are handled."""
    world = World()

    world.append(Happened(times=5), Happened(times=1))
    world.run()

    assert world.acts() == ["s/1/0"]
    [dead] = world.records("source.events.test.reacting.dlq")
    assert dead.key == b"s/0"
    assert dict(dead.headers)["__dlq.errors.type"] == b"ValueError"
    metrics = world.loop.metrics()
    assert (metrics["reactor_commands_total"], metrics["reactor_failed_total"]) == (1, 1)


def test_an_event_too_large_for_a_dead_letter_leaves_its_value_at_the_origin() -> None:
    """An event near the size limit has no room for the error's headers; the reactor goes on all the same."""
    world = World()
    meta = Metadata(id="large", type=Happened.__type_name__).encode()
    producer = world.log.producer()
    value = world.serde.encode(Happened(times=5)) + b"x" * (world.log.message_max_bytes - 200)
    producer.produce("source.events", 0, b"s/0", value, (("meta", meta),))
    producer.close()

    world.append(Happened(times=1))
    world.run()

    [dead] = world.records("source.events.test.reacting.dlq")
    assert (dead.value, dict(dead.headers)["__dlq.value"]) == (None, b"at origin")
    assert len(world.acts()) == 1


def test_the_same_event_gives_commands_the_same_ids() -> None:
    """A command's id follows from the event's, so that its destination recognises a repeat."""
    one, other = World(), World()
    for world in (one, other):
        world.append(Happened(times=1))
        world.run()

    ids = [Metadata.decode(world.records("actor.inbox")[0].headers[0][1]).id for world in (one, other)]
    assert ids[0] == ids[1]


def test_a_handler_of_something_else_than_events_is_refused_with_its_line() -> None:
    """Import-time errors name the line to change."""
    wrong = Reactor("wrong", topics=["x"])

    with pytest.raises(DefinitionError, match=r"test_reactor\.py:\d+: .* is no event"):

        @wrong.on
        def act(command: Act) -> Iterator[Command[Any, Any]]:
            yield command


def test_an_event_with_two_handlers_is_refused_with_its_line() -> None:
    """One reactor reacts to an event once."""
    wrong = Reactor("wrong", topics=["x"])

    @wrong.on
    def once(event: Happened) -> Iterator[Command[Any, Any]]:
        yield Act(what=str(event.times))

    with pytest.raises(DefinitionError, match=r"reacts to Happened twice"):

        @wrong.on
        def twice(event: Happened) -> Iterator[Command[Any, Any]]:
            yield Act(what=str(event.times))


def test_a_reactor_without_its_source_says_which_topic_is_missing() -> None:
    """It does not make the topic: its owner knows how it shall be."""
    world = World()
    world.log.delete(["source.events"])

    with pytest.raises(TopicMissing, match=r"source\.events"):
        world.start()


BOTH = [TopicPartition("source.events", 0), TopicPartition("source.events", 1)]


def test_positions_of_a_quiet_reactor_are_committed_daily(monkeypatch: pytest.MonkeyPatch) -> None:
    """K12: all that it owns, in a transaction; without that the broker would forget them."""
    clock = ManualClock()
    world, committers = World(clock), Committers(monkeypatch)
    world.append(Happened(times=1))
    world.run()
    committers.forget()

    clock.advance(timedelta(hours=23))
    world.loop.step(0)
    before = committers.of("test.reacting")
    clock.advance(timedelta(hours=2))
    world.loop.step(0)
    world.loop.step(0)

    assert before == {}
    assert committers.of("test.reacting") == {at: ["transaction"] for at in BOTH}


def test_positions_are_committed_in_transactions_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """W1: but for the first one of a partition, before there is any transaction."""
    committers = Committers(monkeypatch)
    world = World()
    for _ in range(3):
        world.append(Happened(times=1))
        world.run()

    assert committers.mixing() == {}
    assert {how[0] for how in committers.of("test.reacting").values()} == {"plain"}
    assert {how[-1] for how in committers.of("test.reacting").values()} == {"transaction"}


def test_a_reactor_that_lost_its_positions_does_not_start_over() -> None:
    """K12: its commands are older than any deduplication, so the error says the way out, and that is one."""
    world = World()
    world.append(Happened(times=1))
    world.run()
    world.loop.stop(0)
    world.log.delete(["source.events"])  # with it go the positions, as those of a group that rested too long
    world.make_source()
    world.append(Happened(times=1))

    world.loop = world.start()
    with pytest.raises(PositionMissing, match=r"sagalog group reset test\.reacting --topic source\.events --to start"):
        world.run()
    world.loop.stop(0)
    reset(world.log, "test.reacting", "source.events", "end")
    world.loop = world.start()
    world.append(Happened(times=1))
    world.run()

    assert world.acts() == ["s/0/0", "s/2/0"]
