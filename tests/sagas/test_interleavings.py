"""Any order of messages, doubles, losses, refusals, failures and time-outs: every saga ends with clean books."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from pydantic import BaseModel

from consumers.retry import Retry
from sagas import Saga, SagaProcessor, condition, parallel, step, when
from sagas.graph import Graph
from sagas.guard import Guard, Verdict
from sagas.history import StepRefused, StepUndone, UndoSent
from sagas.messages import CancelSaga, RetryUndo
from sagas.state import Phase, SagaState
from schemas import Command, Failure, Message, Metadata, Refusal, Reply, Undo
from tests.sagas.world import Envelope, Unanswered, World

SEEDS = 300


class Input(BaseModel):
    id: str
    left: bool


class Done(Reply):
    number: int


class No(Refusal):
    why: str


class Act(Command[Done, No], to="acts", key="id"):
    id: str
    what: str


class Tell(Command[Done], to="acts", key="id"):
    id: str
    what: str


TWICE = Retry(attempts=2, first=timedelta(seconds=1))


class Busy(Saga[Input], name="busy", key="id", deadline=timedelta(minutes=10)):
    @step(undo=Undo, retry=TWICE)
    def first(self) -> Act:
        return Act(id=self.input.id, what="first")

    @step(undo=Undo, retry=TWICE)
    def a(self) -> Act:
        return Act(id=self.input.id, what=f"a {self.first.number}")

    @step(undo=Undo, retry=TWICE)
    def b(self) -> Act:
        return Act(id=self.input.id, what="b")

    @step(undo=None, retry=TWICE)
    def look(self) -> Act:
        return Act(id=self.input.id, what="look")

    @condition
    def left(self) -> bool:
        return self.input.left

    @step(undo=Undo, optional=True, retry=TWICE)
    def c(self) -> Act:
        return Act(id=self.input.id, what="c")

    @step(undo=Undo, optional=True, retry=TWICE)
    def d(self) -> Act:
        return Act(id=self.input.id, what="d")

    @step(pivot=True, retry=TWICE)
    def decide(self) -> Act:
        return Act(id=self.input.id, what="decide")

    @step
    def tell(self) -> Tell:
        return Tell(id=self.input.id, what="tell")

    @step
    def note(self) -> Tell:
        return Tell(id=self.input.id, what="note")

    flow = first >> parallel(a >> b, look, when(left, c, otherwise=d)) >> decide >> parallel(tell, note)


class Actors:
    """Participants that act twice, fail, refuse and fall silent as chance has it, and keep books of their effects.

    They are idempotent in one respect: what they refused once they refuse for ever, so their refusals are final.
    """

    def __init__(self, chance: Random) -> None:
        self._chance, self._guard, self._refused = chance, Guard(), set[str]()
        self.effects: dict[str, list[str]] = defaultdict(list)

    def __call__(self, message: Any, metadata: Metadata) -> Message | None:
        attributes = metadata.attributes
        name, role = attributes["step"], attributes["role"]
        if self._guard.ask(attributes) is Verdict.LATE_DO:
            return Failure(error="LateDo", detail="", final=True)
        if role == "undo":
            self._guard.note_undo(attributes, 0)
        fate = self._chance.random()
        if metadata.id in self._refused:
            return No(why="chance")
        if fate < 0.1:
            raise Unanswered
        if fate < 0.2:
            return Failure(error="Down", detail="", final=False)
        if fate < 0.3 and role == "do" and isinstance(message, Act) and not self.effects[name]:
            self._refused.add(metadata.id)
            return No(why="chance")
        self.effects[name].append(role)
        if fate < 0.4:
            raise Unanswered
        if fate < 0.5:
            return Failure(error="Down", detail="after the fact", final=False)
        return None if role == "undo" else Done(number=len(self.effects[name]))


def play(seed: int) -> tuple[World, Actors]:
    """One saga from start to end, in an order that the seed gives."""
    chance = Random(seed)
    actors = Actors(chance)
    world = World(SagaProcessor([Busy]), participants={"acts": actors}, seed=seed)
    world.refold = chance.random() < 0.3
    world.refusals_are_final = True  # the actors refuse only what certainly had no effect
    held = list[Envelope]()
    deliver = world.deliver

    def disturbed(envelope: Envelope) -> None:
        """Deliver now, later, or twice."""
        fate = chance.random()
        if fate < 0.1 and envelope.metadata.correlation:
            held.append(envelope)
            return
        deliver(envelope)
        if fate > 0.9:
            deliver(Envelope(envelope.topic, envelope.key, envelope.message, envelope.metadata))

    world.deliver = disturbed  # type: ignore[method-assign] # the test stands in between
    world.ask("busy", "1", Busy.start(Input(id="1", left=seed % 2 == 0)))
    if seed % 7 == 0:
        for _ in range(chance.randrange(8)):
            world.step()
        world.ask("busy", "1", CancelSaga())
    for _ in range(3_000):
        if held and chance.random() < 0.2:
            deliver(held.pop(chance.randrange(len(held))))
        elif chance.random() < 0.05 or not world.step():
            operate(world)
            if not world.wake() and not world.queues and not held:
                return world, actors
    raise AssertionError("the saga does not end")


def operate(world: World) -> None:
    """An operator retries whatever is parked."""
    state: SagaState = world.entities["busy", "1"].state if world.entities else SagaState("1")
    for name, progress in state.steps.items():
        if progress.stage.value == "parked":
            world.ask("busy", "1", RetryUndo(step=name, who="test", why="always"))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_saga_completes_or_is_fully_undone(seed: int) -> None:
    """P1 to P4: the books at the participants agree with the outcome, whatever happened on the way."""
    world, actors = play(seed)
    state: SagaState = world.entities["busy", "1"].state
    graph = Busy.__graph__

    assert state.phase in (Phase.COMPLETED, Phase.UNDONE)
    assert world.timers == {}
    assert not [failure for failure in world.failures if failure]
    check_order(world, graph)
    for name, effects in actors.effects.items():
        if not effects or name == "look":
            continue
        assert "do" not in effects[effects.index("undo") :] if "undo" in effects else True, name
        assert effects[-1] == ("do" if state.phase is Phase.COMPLETED else "undo"), (name, effects)
    if state.phase is Phase.COMPLETED:
        assert {*actors.effects} >= {"first", "a", "b", "look", "decide", "tell", "note"}


def check_order(world: World, graph: Graph) -> None:
    """Each undo is sent once, after its do, and after everything later was undone."""
    sent, undone, refused = list[str](), list[str](), list[str]()
    begun = set[str]()
    for event in world.events("busy", "1"):
        if event.__type_name__.endswith("step_sent"):
            begun.add(event.model_dump()["step"])
        elif isinstance(event, StepRefused):
            refused.append(event.step)
        elif isinstance(event, UndoSent):
            assert event.step in begun
            assert event.step not in sent
            later = (graph.later[event.step] & begun) - {"look"} - set(refused)
            assert later <= set(undone), event.step
            sent.append(event.step)
        elif isinstance(event, StepUndone):
            assert event.step in sent
            assert event.step not in undone
            undone.append(event.step)


def test_the_seeds_cover_both_ends() -> None:
    """Completed and undone sagas, parked undos, pivots in doubt: all are among the seeds."""
    ends, events = set[Phase](), set[str]()
    for seed in range(60):
        world, _ = play(seed)
        ends.add(world.entities["busy", "1"].state.phase)
        events |= {event.__type_name__ for event in world.events("busy", "1")}

    assert ends == {Phase.COMPLETED, Phase.UNDONE}
    assert {f"sagalog.saga.{name}" for name in ("undo_parked", "step_resent", "undo_resent", "step_refused")} <= events
