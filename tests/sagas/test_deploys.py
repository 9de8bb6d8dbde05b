"""Sagas that are under way when messages change go on: what their history holds is read as the wire's is (S10, K7)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from sagas import Saga, result, step, wait_for
from sagas.client import outcome_of
from sagas.messages import SagaOutcome, Signal
from sagas.orchestrator import SagaProcessor
from schemas import Command, Message, Metadata, Refusal, Reply
from tests.sagas.world import World

WHEN = datetime(2020, 1, 1, tzinfo=UTC)


class OldBooked(BaseModel):
    ref: str


class OldFull(BaseModel):
    at: datetime


def code_of(deploy: int) -> type[Any]:
    """A saga as it is coded before the deploy, and after it: every message lost a field or has a new version."""
    is_new = deploy > 1

    class Order(Message, name="deployed.order"):
        id: str
        locals().update(__annotations__={"id": str} if is_new else {"id": str, "note": str})

    class Booked(Reply, name="deployed.booked", version=deploy):
        locals().update(__annotations__={"ref": str, "at": datetime, "price": Decimal} if is_new else {"ref": str})

    class Full(Refusal, name="deployed.full", version=deploy):
        locals().update(__annotations__={"until": datetime} if is_new else {"at": datetime})

    class Book(Command[Booked, Full], to="deployed_hotels", key="id", name="deployed.book"):
        locals().update(__annotations__={"id": str} if is_new else {"id": str, "note": str})

    class Go(Message, name="deployed.go", version=deploy):
        locals().update(__annotations__={"at": datetime} if is_new else {})

    if is_new:

        @Booked.upcast(from_version=1)
        def _(old: OldBooked) -> dict[str, object]:
            return {"ref": old.ref, "at": WHEN, "price": Decimal("1.50")}

        @Full.upcast(from_version=1)
        def _(old: OldFull) -> dict[str, object]:
            return {"until": old.at}

        @Go.upcast(from_version=1)
        def _(old: dict[str, object]) -> dict[str, object]:
            return {"at": WHEN}

    class Deployed(Saga[Order, Booked], name="deployed", key="id"):
        go = wait_for(Go, timeout=timedelta(minutes=1))

        @step(undo=None)
        def book(self) -> Book:
            return Book.model_validate({**dict(self.input)})

        @step(undo=None)
        def again(self) -> Book:
            booked: Any = self.book
            return Book.model_validate({**dict(self.input), "id": booked.ref})

        @result
        def booked(self) -> Booked:
            return self.book

        flow = book >> go >> again

    return Deployed


def start(code: Any, answer: Any) -> World:
    def hotels(command: Any, metadata: Metadata) -> Message:
        made: Message = answer()
        return made

    world = World(SagaProcessor([code]), participants={"deployed_hotels": hotels})
    world.refold = True
    world.ask("deployed", "a", code.start(code.__graph__.input(id="a", note="n")))
    world.run()
    return world


def test_a_saga_goes_on_after_its_messages_changed() -> None:
    """Its input and command lost a field, its reply and signal have a version with an instant more."""
    old, new = code_of(1), code_of(2)
    world = start(old, lambda: old.__graph__.types["deployed.booked"](ref="r"))

    world.processors["deployed"] = SagaProcessor([new])

    def hotels(command: Any, metadata: Metadata) -> Message:
        made: Message = new.__graph__.types["deployed.booked"](ref="s", at=WHEN, price=1)
        return made

    world.participants["deployed_hotels"] = hotels
    world.ask("deployed", "a", Signal(wait="go", type="deployed.go", version=1, message="{}"))
    world.run()

    state = world.entities["deployed", "a"].state
    assert state.phase.value == "completed"
    assert new.__graph__.output.model_validate_json(state.result).price == Decimal("1.50")


def test_a_refusal_of_an_older_version_is_raised_for_who_asks() -> None:
    """The owner may be older than the client."""
    new = code_of(2)
    text = '{"at": "2020-01-01T00:00:00Z"}'
    answer = SagaOutcome(key="a", completed=False, step="book", type="deployed.full", version=1, refusal=text)

    undone: Any = outcome_of(new, answer)

    assert undone.reason.until == WHEN


@pytest.mark.parametrize("result", ['{"ref": "r", "at": "2020-01-01T00:00:00Z", "price": "1.5", "more": 1}'])
def test_a_result_with_a_field_more_is_read(result: str) -> None:
    """The owner may be newer than the client."""
    answer = SagaOutcome(key="a", completed=True, result=result)

    done: Any = outcome_of(code_of(2), answer)

    assert done.result.price == Decimal("1.5")
