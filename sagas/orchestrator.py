"""The orchestrator: a processor whose entities are sagas and whose events are their histories.

Its inbox takes start commands, answers of participants, signals, questions and operators' decisions; a saga's key is
its stream. Each answer to a step costs one decision, and with it a share of one transaction (P9). Answers are told
apart by their correlation, `step/role/attempt`, and by the id of the command that they answer; what is late or double
changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, Literal

from eventstore.processor.port import DecideContext
from eventstore.raised import Raised
from sagas import backward, forward
from sagas.children import Child
from sagas.errors import SagaVersionUnknown
from sagas.fold import Fold
from sagas.graph import AnySaga, Graph
from sagas.history import EVENTS, CancelAsked, OutcomeAsked, SagaStarted
from sagas.messages import (
    MESSAGES,
    AskHistory,
    AskOutcome,
    AskStatus,
    CancelSaga,
    KeyTaken,
    Noted,
    Refused,
    RetryUndo,
    SagaAccepted,
    Signal,
    SkipUndo,
    Start,
    UnknownSaga,
    Wake,
    start_type,
    undo_type,
)
from sagas.questions import page_of, status_of
from sagas.state import Phase, SagaState, Stage, Text, decoded
from sagas.turn import TIMER, Turn, outcome_of
from sagas.waits import Wait
from schemas import Event, Message
from schemas.kept_json import read_kept

UNKNOWN_VERSION_NAP = timedelta(seconds=30)
"""How long a saga sleeps whose version is not known here. An answer that it misses is asked for again in time."""


class SagaProcessor:
    """Runs the sagas of one name, in all versions that are known here."""

    journal: Literal["events", "state"] = "events"

    def __init__(self, sagas: Iterable[AnySaga], *, partitions: int | None = None) -> None:
        graphs = [saga.__graph__ for saga in sagas]
        self.name = graphs[0].name
        self.partitions = partitions
        self._graphs = {graph.version: graph for graph in graphs}
        self.messages: Sequence[type[Message]] = processor_messages(self.name, graphs)
        self._fold, self._raised = Fold(self._graphs), Raised()
        self._takers: dict[type[Message], Callable[[SagaState, Any, DecideContext[SagaState]], None]] = {
            start_type(self.name): self._start,
            undo_type(self.name): self._undo,
            Wake: self._wake,
            Signal: self._signal,
            CancelSaga: self._cancel,
            RetryUndo: self._operate,
            SkipUndo: self._operate,
            AskOutcome: self._outcome,
            AskStatus: self._status,
            AskHistory: self._history,
        }

    @property
    def versions(self) -> Sequence[int]:
        """The versions that are known here, sorted."""
        return sorted(self._graphs)

    def joined(self, other: Any) -> SagaProcessor:
        """One processor for the versions of both.

        Raises:
            ValueError: they are of different names, or both have a version.
        """
        if not isinstance(other, SagaProcessor) or other.name != self.name or set(self.versions) & set(other.versions):
            raise ValueError(
                f"the saga {self.name} of versions {self.versions} cannot share its topics with {other!r}: give one of "
                "them another name= or version="
            )
        return SagaProcessor(graph.saga for graph in (self._graphs | other._graphs).values())

    def __repr__(self) -> str:
        return f"<saga {self.name} of versions {self.versions}>"

    def initial(self, key: str) -> SagaState:
        return SagaState(key)

    def evolve(self, state: SagaState, event: Event) -> SagaState:
        return self._fold(state, event)

    def decide(self, state: SagaState, message: Message, context: DecideContext[SagaState]) -> None:
        taker = self._takers.get(type(message), self._answer)
        taker(state, message, context)

    def _start(self, state: SagaState, message: Start, context: DecideContext[SagaState]) -> None:
        if state.phase is not Phase.NEW:
            self._start_again(state, message, context)
            return
        graph = self._graphs.get(message.version)
        if graph is None:
            raise SagaVersionUnknown(self.name, message.version, list(self.versions))
        read_kept(graph.input, message.input)
        turn = Turn(state, context, graph, self._raised)
        deadline_ms = 0 if graph.deadline is None else turn.now_ms + int(graph.deadline.total_seconds() * 1000)
        context.append(
            SagaStarted(
                saga=self.name,
                version=message.version,
                input=message.input,
                deadline_ms=deadline_ms,
                answer_to=turn.answer_later() if message.wait else "",
            )
        )
        if not message.wait:
            context.reply(SagaAccepted(key=state.key, version=message.version, is_new=True))
        forward.advance(turn)
        turn.set_timer(0)

    def _start_again(self, state: SagaState, message: Start, context: DecideContext[SagaState]) -> None:
        """A start is idempotent by key; other content under the same key is refused."""
        if not self._is_same_input(state, message.input):
            context.reply(KeyTaken(key=state.key))
        elif message.wait:
            self._outcome(state, message, context)
        else:
            context.reply(SagaAccepted(key=state.key, version=state.version, is_new=False))

    def _is_same_input(self, state: SagaState, given: str) -> bool:
        if given == state.input:
            return True
        model = self._turn_graph(state).input
        return read_kept(model, given) == read_kept(model, state.input)

    def _answer(self, state: SagaState, message: Message, context: DecideContext[SagaState]) -> None:
        """An answer of a participant; what belongs to no command of this saga changes nothing."""
        if not state.is_running:
            return
        graph = self._turn_graph(state)
        step, _, rest = context.metadata.correlation.partition("/")
        role, _, number = rest.partition("/")
        progress, leaf = state.steps.get(step), graph.leaves.get(step)
        if progress is None or leaf is None or not number.isdigit():
            return
        turn, before_ms, answers = self._turn(state, context), state.next_due_ms(), context.metadata.causation
        is_child = isinstance(leaf, Child)  # what a child answers at its end is caused by its last step
        if role == "do" and (is_child or answers == progress.id):
            forward.answered(turn, leaf, progress, message, attempt=int(number))
        elif role == "undo" and (is_child or answers == progress.undo_id):
            backward.answered(turn, leaf, progress, message, attempt=int(number))
        else:
            return
        turn.set_timer(before_ms)

    def _wake(self, state: SagaState, _: Wake, context: DecideContext[SagaState]) -> None:
        """Do what is due: the deadline first, because it settles the rest."""
        if not state.is_running:
            return
        if state.graph is None:
            context.schedule(TIMER, context.now + UNKNOWN_VERSION_NAP, Wake())  # until the code is deployed (P8)
            return
        turn = self._turn(state, context)
        if state.deadline_is_due(turn.now_ms):
            backward.turn_back(turn, _pending(state), "deadline")
        for name, progress in list(state.steps.items()):
            if not 0 < progress.due_ms <= turn.now_ms or not state.is_running:
                continue
            leaf = turn.graph.leaves.get(name)
            if state.phase is Phase.FORWARD:
                forward.due(turn, leaf, progress)
            elif leaf is not None:
                backward.due(turn, leaf, progress)
        turn.set_timer(0)

    def _signal(self, state: SagaState, message: Signal, context: DecideContext[SagaState]) -> None:
        """P6: kept until it is waited for; a typed refusal if it never will be."""
        if state.phase is Phase.NEW:
            context.reply(UnknownSaga(key=state.key), final=False)
            return
        graph = self._turn_graph(state)
        wait, progress = graph.leaves.get(message.wait), state.steps.get(message.wait)
        if not isinstance(wait, Wait) or wait.message.__type_name__ != message.type:
            context.reply(Refused(why=f"{graph.saga.__name__} never waits for {message.wait} of {message.type}"))
        elif state.phase is not Phase.FORWARD:
            context.reply(Refused(why=f"it is {state.phase.value}"))
        elif progress is not None and progress.stage is not Stage.WAITING:
            context.reply(Refused(why=f"{message.wait} was {progress.stage.value} before"))
        else:
            decoded(graph, Text(message.type, message.version, message.message))
            turn, before_ms = self._turn(state, context), state.next_due_ms()
            forward.signalled(turn, wait, message)
            context.reply(Noted())
            turn.set_timer(before_ms)

    def _cancel(self, state: SagaState, message: CancelSaga, context: DecideContext[SagaState]) -> None:
        """Turn back, unless the pivot was sent (P3)."""
        if state.phase is Phase.NEW:
            context.reply(UnknownSaga(key=state.key), final=False)
        elif state.phase in (Phase.COMPENSATING, Phase.UNDONE):
            context.reply(Noted())
        elif state.phase is Phase.COMPLETED or state.pivot_is_sent:
            context.reply(Refused(why="its pivot was sent" if state.is_running else "it is completed"))
        else:
            turn, before_ms = self._turn(state, context), state.next_due_ms()
            context.append(CancelAsked(who=message.who, why=message.why))
            backward.turn_back(turn, _pending(state), "cancelled")
            context.reply(Noted())
            turn.set_timer(before_ms)

    def _undo(self, state: SagaState, _: Message, context: DecideContext[SagaState]) -> None:
        """A parent undoes its child: answered by the outcome when that is undone."""
        if state.phase is Phase.NEW or state.phase is Phase.UNDONE:
            context.reply(Noted())
            return
        turn, before_ms = self._turn(state, context), state.next_due_ms()
        if state.phase is not Phase.COMPENSATING and state.pivot_is_sent:
            raise RuntimeError(f"{self.name}/{state.key} is past its pivot and cannot be undone")
        context.append(OutcomeAsked(answer_to=turn.answer_later()))
        if state.phase is not Phase.COMPENSATING:
            context.append(CancelAsked(who="its parent", why="the parent is undone"))
            backward.turn_back(turn, _pending(state), "cancelled")
        turn.set_timer(before_ms)

    def _operate(self, state: SagaState, message: RetryUndo | SkipUndo, context: DecideContext[SagaState]) -> None:
        """An operator decides on a parked undo."""
        progress = state.steps.get(message.step)
        if state.phase is Phase.NEW:
            context.reply(UnknownSaga(key=state.key), final=False)
        elif progress is None or progress.stage is not Stage.PARKED:
            context.reply(Refused(why=f"the undo of {message.step} is not parked"))
        else:
            turn, before_ms = self._turn(state, context), state.next_due_ms()
            leaf = turn.graph.leaves[message.step]
            if isinstance(message, RetryUndo):
                backward.send_again(turn, leaf, progress, who=message.who, why=message.why)
            else:
                backward.skip(turn, leaf, who=message.who, why=message.why)
            context.reply(Noted())
            turn.set_timer(before_ms)

    def _outcome(self, state: SagaState, _: AskOutcome | Start, context: DecideContext[SagaState]) -> None:
        """How it ended, now or when it does."""
        if state.phase is Phase.NEW:
            context.reply(UnknownSaga(key=state.key), final=False)
        elif state.is_running:
            answer_to = self._turn(state, context).answer_later()
            if answer_to and answer_to not in state.waiting:
                context.append(OutcomeAsked(answer_to=answer_to))
        else:
            context.reply(outcome_of(state), final=False)

    def _status(self, state: SagaState, _: AskStatus, context: DecideContext[SagaState]) -> None:
        context.reply(UnknownSaga(key=state.key) if state.phase is Phase.NEW else status_of(state), final=False)

    def _history(self, state: SagaState, message: AskHistory, context: DecideContext[SagaState]) -> None:
        if state.phase is Phase.NEW:
            context.reply(UnknownSaga(key=state.key), final=False)
            return
        context.reply(page_of(context, message.after), final=False)

    def _turn(self, state: SagaState, context: DecideContext[SagaState]) -> Turn:
        return Turn(state, context, self._turn_graph(state), self._raised)

    def _turn_graph(self, state: SagaState) -> Graph:
        """The definition that the saga keeps to.

        Raises:
            SagaVersionUnknown: this process does not have it (P8).
        """
        if state.graph is None:
            raise SagaVersionUnknown(self.name, state.version, list(self.versions))
        return state.graph


def processor_messages(saga: str, graphs: Iterable[Graph]) -> Sequence[type[Message]]:
    """All types that the sagas of a name take in, record, answer or send."""
    own: set[type[Message]] = {*MESSAGES, *EVENTS, start_type(saga), undo_type(saga)}
    return tuple(sorted(own.union(*(graph.messages() for graph in graphs)), key=lambda message: message.__type_name__))


def _pending(state: SagaState) -> str:
    """The first step that is under way: where a deadline or a cancel meets the saga."""
    under_way = (name for name, each in state.steps.items() if each.stage in (Stage.SENT, Stage.WAITING))
    return next(under_way, next(reversed(state.steps), ""))
