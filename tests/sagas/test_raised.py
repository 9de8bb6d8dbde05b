"""What a handler, a decider or a method of a saga raises is told: on the log with its traceback, and in the outcome."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel
from structlog.testing import capture_logs

from consumers import Retry, Service
from eventstore import Aggregate, InputFailed, decide, evolve
from sagas import Participant, Saga, SagaClient, SagaProcessor, Undone, condition, result, step, when
from sagas.turn import outcome_of
from schemas import Command, Event, Undo
from tests.sagas.trips import SendMail, Trip, everybody
from tests.sagas.world import World

ONCE = Retry(attempts=1)
APEND = "AttributeError: 'list' object has no attribute 'apend'"


class Order(BaseModel):
    id: str


class Pack(Command[None], to="raised_packers", key="id"):
    id: str


class Count(Command[None], to="raised_shelf", key="id"):
    id: str


class Counted(Event, name="test.raised.counted"):
    pass


class Shelf(Aggregate[Counted], name="raised_shelf"):
    @decide
    def count(self, command: Count) -> None:
        raise KeyError(command.id)

    @evolve
    def counted(self, event: Counted) -> None:
        pass


class Ship(Saga[Order], name="raised_ship", key="id"):
    @step(undo=Undo, retry=ONCE)
    def pack(self) -> Pack:
        return Pack(id=self.input.id)

    flow = pack


class Mailing(Saga[Trip, Trip], name="raised_mailing", key="trip_id"):
    @condition
    def vip(self) -> bool:
        return {"Rome": True, "Oslo": False}[self.input.city]

    @step(undo=None, optional=True)
    def mail(self) -> SendMail:
        return SendMail(trip_id=self.input.trip_id, text=str(1 / int(self.input.trip_id)))

    @result
    def trip(self) -> Trip:
        return self.input

    flow = when(vip, mail)


def warnings(told: Iterable[MutableMapping[str, Any]], event: str) -> list[MutableMapping[str, Any]]:
    return [one for one in told if one["event"] == event and one["log_level"] == "warning"]


async def test_a_handlers_exception_is_in_the_log_and_in_the_outcome() -> None:
    """Two sagas fail alike: one warning, with the exception; each outcome says what was raised."""
    packers = Participant("raised_packers")

    @packers.on
    async def pack(command: Pack | Undo[Pack]) -> None:
        if isinstance(command, Pack):
            list[str]().apend(command.id)  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

    with capture_logs() as told:
        async with Service("raised", log=f"memory://{uuid4().hex}", components=[packers, Ship]) as service:
            outcomes = [await SagaClient(service).complete(Ship, Order(id=each)) for each in "ab"]

    assert [(one.reason, one.detail) for one in outcomes if isinstance(one, Undone)] == [("failed", APEND)] * 2
    [warning] = warnings(told, "handler_raised")
    assert (warning["worker"], warning["error"]) == ("raised_packers", "AttributeError")
    assert warning["handler"].endswith("pack")
    assert isinstance(warning["exc_info"], AttributeError)
    assert warning["exc_info"].__traceback__ is not None


async def test_a_deciders_exception_has_its_traceback_once() -> None:
    """Each failed input is a dead letter and a warning; the first of its kind says where it was raised."""
    with capture_logs() as told:
        async with Service("raised", log=f"memory://{uuid4().hex}", components=[Shelf]) as service:
            for each in "ab":
                with pytest.raises(InputFailed):
                    await service.ask(Count(id=each))

    assert [type(one.get("exc_info")) for one in warnings(told, "input_failed")] == [KeyError, type(None)]


@pytest.mark.parametrize(
    ("city", "step", "error"),
    [("Rome", "mail", "ZeroDivisionError: division by zero"), ("Bonn", "vip", "KeyError: 'Bonn'")],
)
def test_a_method_of_the_saga_that_raises_is_told(city: str, step: str, error: str) -> None:
    """A step's builder and a condition: a warning for the first of two sagas, and the outcome's detail for both."""
    world = World(SagaProcessor([Mailing]), participants=everybody())

    with capture_logs() as told:
        for each in ("0", "00"):
            world.ask("raised_mailing", each, Mailing.start(Trip(trip_id=each, city=city)))
            world.settle()

    for each in ("0", "00"):
        assert outcome_of(world.entities["raised_mailing", each].state).detail == error
    [warning] = warnings(told, "step_raised")
    assert (warning["saga"], warning["step"]) == ("raised_mailing", step)
    assert f"{type(warning['exc_info']).__name__}: {warning['exc_info']}" == error


def test_outcomes_are_equal_whatever_their_detail() -> None:
    """The detail is text for people."""
    assert Undone(step="a", reason="failed", detail=APEND) == Undone(step="a", reason="failed")
