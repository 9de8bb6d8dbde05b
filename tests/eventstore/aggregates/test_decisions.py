"""Aggregates and deciders: what they decide, record and answer."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from eventstore.aggregate import Aggregate, decide, evolve, processor_of
from eventstore.decider import Decider, Decision
from eventstore.errors import AnswerNotDeclared, DecisionNotMade, EventNotDeclared, RefusedAfterRecording
from eventstore.processor.port import DecideContext, Processor
from eventstore.rehearsal import Rehearsal
from eventstore.specification import given
from schemas import Command, DefinitionError, Undo
from tests.eventstore.aggregates.stock import (
    Expire,
    OutOfStock,
    Receive,
    Received,
    Reserved,
    ReserveStock,
    Stock,
    StockReserved,
    Stray,
    Unrelated,
    stock,
)

NOW = datetime(2026, 5, 1, tzinfo=UTC)


class Pump(Aggregate[Received], name="stock"):
    """Sends, and sets timers."""

    @decide
    def expire(self, command: Expire, context: DecideContext[Any]) -> None:
        context.send(Stray(sku="b"))
        context.send(Stray(sku="c"))
        context.schedule("again", context.now + timedelta(minutes=1), command)
        context.cancel("expire")

    @evolve
    def on_received(self, event: Received) -> None:
        """Nothing."""


def _processors() -> list[Processor[Any]]:
    return [processor_of(Stock), stock.processor()]


def test_an_aggregate_records_and_answers() -> None:
    """What was decided is there at once: the answer speaks of the state after the event."""
    given(Stock, Received(quantity=2)).when(ReserveStock(sku="a", quantity=2)).then(
        Reserved(quantity=2), reply=StockReserved(left=0)
    )


def test_a_decider_records_and_answers() -> None:
    """The same in the other style."""
    given(stock, Received(quantity=2)).when(ReserveStock(sku="a", quantity=2)).then(
        Reserved(quantity=2), reply=StockReserved(left=0)
    )


def test_a_refusal_is_an_answer_and_records_nothing() -> None:
    """In both styles."""
    given(Stock).when(ReserveStock(sku="a", quantity=2)).then(reply=OutOfStock(left=0))
    given(stock).when(ReserveStock(sku="a", quantity=2)).then(reply=OutOfStock(left=0))


def test_a_plain_function_decides_without_events() -> None:
    """A decider's function that yields nothing need not be a generator."""
    given(stock).when(Expire(sku="a")).then(reply=None)


def test_the_undo_of_a_command_is_decided_by_its_own_handler() -> None:
    """`Undo[X]` is a command like any other."""
    reserve = ReserveStock(sku="a", quantity=2)

    given(Stock, Received(quantity=2), Reserved(quantity=2)).when(Undo[ReserveStock](did=reserve)).then(
        Received(quantity=2), reply=None
    )


def test_context_gives_time_and_timers() -> None:
    """A handler that asks for the context gets it."""
    now = datetime(2026, 5, 1, tzinfo=UTC)

    then = given(Stock, Received(quantity=2)).when(ReserveStock(sku="a", quantity=1), now=now)

    assert then.scheduled["expire"].at == now + timedelta(minutes=15)
    assert then.scheduled["expire"].message == Expire(sku="a")


def test_a_specification_says_what_differs() -> None:
    """The message holds what was expected and what came."""
    then = given(Stock, Received(quantity=2)).when(ReserveStock(sku="a", quantity=1))

    with pytest.raises(AssertionError, match=r"(?s)quantity=2.*recorded.*quantity=1"):
        then.then(Reserved(quantity=2))
    with pytest.raises(AssertionError, match=r"OutOfStock.*StockReserved"):
        then.then(Reserved(quantity=1), reply=OutOfStock(left=1))


def test_a_specification_compares_what_is_sent_and_timed_if_it_is_named() -> None:
    """Messages in order, timers with their instants, names of what was cancelled; nothing that is not named."""
    then = given(Pump).when(Expire(sku="a"), now=NOW)
    timer = {"again": (NOW + timedelta(minutes=1), Expire(sku="a"))}

    then.then()
    then.then(sent=[Stray(sku="b"), Stray(sku="c")], scheduled=timer, cancelled=["expire"])

    with pytest.raises(AssertionError, match=r"(?s)expected the messages \(none\).*sent .*Stray\(sku='b'\)"):
        then.then(sent=[])
    with pytest.raises(AssertionError, match=r"(?s)expected the messages .*'c'.*'b'.*sent .*'b'.*'c'"):
        then.then(sent=[Stray(sku="c"), Stray(sku="b")])
    with pytest.raises(AssertionError, match=r"(?s)expected the timers \(none\).*scheduled .*again"):
        then.then(scheduled={})
    with pytest.raises(AssertionError, match=r"expected \[\] to be cancelled, cancelled \['expire'\]"):
        then.then(cancelled=())


def test_a_misspelt_expectation_is_refused() -> None:
    """It would compare nothing, and the test would pass."""
    wrong: Any = given(Stock).when(ReserveStock(sku="a", quantity=2))

    with pytest.raises(DefinitionError, match=r"test_decisions\.py:\d+: .*no option repyl=: did you mean reply=\?"):
        wrong.then(repyl=OutOfStock(left=7))


def test_an_instance_made_by_hand_evolves_as_it_records() -> None:
    """An aggregate is usable without anything around it."""
    aggregate = Stock()

    aggregate.record(Received(quantity=3))

    assert (aggregate.on_hand, aggregate.version, aggregate.key) == (3, 0, "")


def test_an_entity_knows_its_key_and_version() -> None:
    """Both follow from its stream, and neither counts for equality."""
    processor = processor_of(Stock)
    state = processor.initial("a")

    processor.evolve(state, Received(quantity=3))

    assert (state.key, state.version) == ("a", 0)
    assert state == Stock(on_hand=3)


@pytest.mark.parametrize("processor", _processors(), ids=["aggregate", "decider"])
def test_a_command_without_a_handler_is_a_named_error(processor: Processor[Any]) -> None:
    """The message says who should have decided on what."""
    with pytest.raises(DecisionNotMade, match=r"stock|Stock"):
        _rehearse(processor, Stray(sku="a"))


@pytest.mark.parametrize("processor", _processors(), ids=["aggregate", "decider"])
def test_an_event_that_is_not_declared_is_a_named_error(processor: Processor[Any]) -> None:
    """An old stream may hold what the code forgot."""
    with pytest.raises(EventNotDeclared, match="Unrelated"):
        processor.evolve(processor.initial("a"), Unrelated())


def _rehearse(processor: Processor[Any], command: Command[Any, Any]) -> Rehearsal[Any]:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    rehearsal = Rehearsal(processor, "a", processor.initial("a"), version=-1, now=now)
    processor.decide(rehearsal.state, command, rehearsal)
    return rehearsal


class Hasty(Aggregate[Received], name="stock"):
    @decide
    def reserve(self, command: ReserveStock) -> OutOfStock:
        self.record(Received(quantity=1))
        return OutOfStock(left=0)

    @decide
    def receive(self, command: Receive) -> None:
        return cast("None", StockReserved(left=3))

    @evolve
    def received(self, event: Received) -> None: ...


hasty = Decider("stock", initial=int, events=[Received])


@hasty.decide
def _hasty_reserve(state: int, command: ReserveStock) -> Decision[Received, OutOfStock]:
    yield Received(quantity=1)
    return OutOfStock(left=0)


@hasty.decide
def _hasty_receive(state: int, command: Receive) -> Decision[Received, None]:
    yield Received(quantity=3)
    return cast("None", StockReserved(left=3))


@hasty.evolve
def _hasty_received(state: int, event: Received) -> int:
    return state


@pytest.mark.parametrize("processor", [processor_of(Hasty), hasty.processor()], ids=["aggregate", "decider"])
def test_refusing_after_recording_is_an_error(processor: Processor[Any]) -> None:
    """A refusal says that nothing happened."""
    with pytest.raises(RefusedAfterRecording, match="recorded 1 events for ReserveStock"):
        _rehearse(processor, ReserveStock(sku="a", quantity=1))


@pytest.mark.parametrize("processor", [processor_of(Hasty), hasty.processor()], ids=["aggregate", "decider"])
def test_an_answer_that_the_command_does_not_declare_is_an_error(processor: Processor[Any]) -> None:
    """Also where the annotation says otherwise."""
    with pytest.raises(AnswerNotDeclared, match="StockReserved to Receive"):
        _rehearse(processor, Receive(sku="a", quantity=1))


def test_a_decider_that_refuses_appends_nothing() -> None:
    """Its events are appended after the function returned."""
    processor, now = hasty.processor(), datetime(2026, 1, 1, tzinfo=UTC)
    rehearsal = Rehearsal(processor, "a", 0, version=-1, now=now)

    with pytest.raises(RefusedAfterRecording):
        processor.decide(0, ReserveStock(sku="a", quantity=1), rehearsal)

    assert rehearsal.events == []


class Fragile(Stock, name="stock"):
    @decide
    def receive(self, command: Receive) -> None:
        raise LookupError(command.sku)


def test_a_subclass_inherits_handlers_and_may_override_them_by_name() -> None:
    """The new `receive` counts; the rest is inherited."""
    given(Fragile, Received(quantity=2)).when(ReserveStock(sku="a", quantity=2)).then(Reserved(quantity=2))
    with pytest.raises(LookupError):
        given(Fragile).when(Receive(sku="a", quantity=1))


def test_all_types_of_an_aggregate_are_registered() -> None:
    """Commands, replies, refusals and events, once each; None is no type."""
    messages = processor_of(Stock).messages

    assert set(messages) == {
        Receive, ReserveStock, Expire, Undo[ReserveStock], StockReserved, OutOfStock, Received, Reserved,
    }  # fmt: skip
    assert len(messages) == len(set(messages))
    assert Stock.__component__().name == "stock"


class LongName(Aggregate[Received]):
    @evolve
    def received(self, event: Received) -> None: ...


def test_the_default_name_is_the_class_name_in_snake_case() -> None:
    """It names topics."""
    assert LongName.__component__().name == "long_name"
