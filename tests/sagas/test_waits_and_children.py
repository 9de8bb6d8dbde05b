"""Signals (P6) and children (P7)."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel

from sagas import Saga, SagaProcessor, child, result, step, wait_for
from sagas.messages import Noted, Refused, Signal, UnknownSaga
from schemas import Event, Message, Metadata, Undo
from tests.sagas.trips import Charge, Declined, Insure, SendMail, answers, everybody
from tests.sagas.world import World


class Order(BaseModel):
    id: str


class Policy(BaseModel):
    number: str


class Approved(Event, name="test.approved"):
    by: str


class Approval(Saga[Order], name="approval", key="id"):
    approval = wait_for(Approved, timeout=timedelta(hours=1))
    second = wait_for(Approved, timeout=timedelta(hours=1), unanswered="continue")

    @step(pivot=True)
    def mail(self) -> SendMail:
        other = self.second.by if self.second else "nobody"
        return SendMail(trip_id=self.input.id, text=f"{self.approval.by}, {other}")

    flow = approval >> second >> mail


class Insurance(Saga[Order, Policy], name="insurance_saga", key="id"):
    @step(undo=Undo)
    def insure(self) -> Insure:
        return Insure(trip_id=self.input.id)

    @result
    def policy(self) -> Policy:
        return Policy(number=f"P-{self.input.id}")

    flow = insure


class Journey(Saga[Order], name="journey", key="id"):
    @child(Insurance)
    def insurance(self) -> Order:
        return Order(id=f"{self.input.id}-a")

    @step(pivot=True)
    def pay(self) -> Charge:
        return Charge(trip_id=self.input.id, reference=self.insurance.number)

    flow = insurance >> pay


def approving() -> World:
    """A world in which a saga waits for approval."""
    world = World(SagaProcessor([Approval]), participants=everybody())
    world.ask("approval", "1", Approval.start(Order(id="1")))
    world.run()
    return world


def signal(world: World, wait: str, by: str, key: str = "1") -> Message:
    """Signal an approval; returns the answer."""
    message = Approved(by=by)
    asked = world.ask(
        "approval", key, Signal(wait=wait, type="test.approved", version=1, message=message.model_dump_json())
    )
    world.run()
    return world.replies[asked]


def test_a_signal_lets_the_saga_go_on_and_is_read_by_builders() -> None:
    """Ann approves, then Bob."""
    world = approving()

    assert signal(world, "approval", "Ann") == Noted()
    assert signal(world, "second", "Bob") == Noted()

    sent = next(event for event in world.events("approval", "1") if event.__type_name__.endswith("step_sent"))
    assert "Ann, Bob" in sent.model_dump_json()
    assert world.names("approval", "1")[-1] == "completed"


def test_a_signal_that_comes_early_is_kept() -> None:
    """P6: the second approval comes before the first; the saga never waits for it."""
    world = approving()

    assert signal(world, "second", "Bob") == Noted()
    signal(world, "approval", "Ann")

    names = world.names("approval", "1")
    assert "wait_began second" not in names
    assert names[-1] == "completed"


def test_a_wait_that_nobody_answers_undoes_or_continues() -> None:
    """The first wait turns back; the second, declared so, goes on with None."""
    undone = approving()
    undone.settle()
    assert undone.names("approval", "1")[-3:] == ["wait_unanswered approval", "compensation_started approval", "undone"]

    continued = approving()
    signal(continued, "approval", "Ann")
    continued.settle()
    assert continued.names("approval", "1")[-1] == "completed"
    sent = next(event for event in continued.events("approval", "1") if event.__type_name__.endswith("step_sent"))
    assert "Ann, nobody" in sent.model_dump_json()


def test_signals_of_no_use_are_refused() -> None:
    """P6: an unknown saga, a wait that does not exist, one that was answered."""
    world = approving()
    assert signal(world, "approval", "Ann", key="9") == UnknownSaga(key="9")
    assert isinstance(signal(world, "no_such", "Ann"), Refused)
    signal(world, "approval", "Ann")
    assert isinstance(signal(world, "approval", "Eve"), Refused)


def test_a_child_runs_as_a_saga_of_its_own_and_its_result_is_read() -> None:
    """P7: the parent pays with the child's policy number."""
    world = World(SagaProcessor([Journey]), SagaProcessor([Insurance]), participants=everybody())
    world.ask("journey", "1", Journey.start(Order(id="1")))
    world.settle()

    assert world.names("insurance_saga", "1-a")[-1] == "completed"
    assert world.names("journey", "1")[-1] == "completed"
    sent = [event for event in world.events("journey", "1") if event.__type_name__.endswith("step_sent")]
    assert "P-1-a" in sent[1].model_dump_json()


def test_a_completed_child_is_undone_with_its_parent() -> None:
    """P7: the payment is declined; the child turns back although it had completed."""

    def payments(message: Message, metadata: Metadata) -> Message | None:
        return Declined(reason="poor")

    world = World(SagaProcessor([Journey]), SagaProcessor([Insurance]), participants=everybody(payments=payments))
    world.ask("journey", "1", Journey.start(Order(id="1")))
    world.settle()

    assert "completed" in world.names("insurance_saga", "1-a")
    assert world.names("insurance_saga", "1-a")[-2:] == ["step_undone insure", "undone"]
    assert world.names("journey", "1")[-2:] == ["step_undone insurance", "undone"]


def test_a_child_that_is_undone_turns_its_parent_back_with_its_reason() -> None:
    """P7: the insurer's refusal is the parent's reason."""

    def insurer(message: Message, metadata: Metadata) -> Message | None:
        return Declined(reason="old") if isinstance(message, Insure) else answers(message, metadata)

    world = World(SagaProcessor([Journey]), SagaProcessor([Insurance]), participants=everybody(insurance=insurer))
    world.ask("journey", "1", Journey.start(Order(id="1")))
    world.settle()

    turned = next(e for e in world.events("journey", "1") if e.__type_name__.endswith("compensation_started"))
    assert turned.model_dump() == {
        "step": "insurance",
        "reason": "refused",
        "detail": "",
        "type": "declined",
        "version": 1,
        "refusal": '{"reason":"old"}',
    }
    assert world.names("journey", "1")[-1] == "undone"
