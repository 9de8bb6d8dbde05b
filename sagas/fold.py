"""From a history to a state: what each event changes.

Only events change a state, and nothing but them is looked at, so a state folded anew equals the one that was kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from eventstore.processor.port import Destination
from sagas import history
from sagas.graph import Graph
from sagas.state import Phase, Progress, SagaState, Stage, Text
from schemas import Event


class Fold:
    """Changes a state by its events."""

    def __init__(self, graphs: Mapping[int, Graph]) -> None:
        self._graphs = graphs

    def __call__(self, state: SagaState, event: Event) -> SagaState:
        _CHANGES[type(event)](self, state, event)
        return state

    def started(self, state: SagaState, event: history.SagaStarted) -> None:
        state.phase, state.version, state.input = Phase.FORWARD, event.version, event.input
        state.graph, state.deadline_ms = self._graphs.get(event.version), event.deadline_ms
        if event.answer_to:
            state.waiting.append(event.answer_to)

    def outcome_asked(self, state: SagaState, event: history.OutcomeAsked) -> None:
        state.waiting.append(event.answer_to)

    def condition_answered(self, state: SagaState, event: history.ConditionAnswered) -> None:
        state.conditions[event.condition] = event.answer
        state.steps.pop(event.condition, None)

    def step_sent(self, state: SagaState, event: history.StepSent) -> None:
        progress = state.steps[event.step] = Progress(Stage.SENT)
        progress.command, progress.id = Text(event.type, event.version, event.command), event.id
        progress.to = Destination(event.topic, event.partition, event.key)
        progress.due_ms = event.due_ms

    def resent(self, state: SagaState, event: history.StepResent | history.UndoResent) -> None:
        progress = state.steps[event.step]
        if isinstance(event, history.UndoResent):
            progress.stage = Stage.UNDOING
        progress.attempt, progress.resting = event.attempt, False
        progress.due_ms = event.due_ms

    def step_replied(self, state: SagaState, event: history.StepReplied) -> None:
        progress = state.steps[event.step]
        progress.stage, progress.reply = Stage.REPLIED, Text(event.type, event.version, event.reply)
        progress.due_ms, progress.resting = 0, False
        if state.graph is not None and event.step == state.graph.pivot:
            state.pivot_passed = True

    def step_refused(self, state: SagaState, event: history.StepRefused) -> None:
        progress = state.steps[event.step]
        progress.stage, progress.final = Stage.REFUSED, event.final
        progress.due_ms, progress.resting = 0, False

    def failed(self, state: SagaState, event: history.StepFailed | history.UndoFailed) -> None:
        progress = state.steps[event.step]
        progress.attempt, progress.resting = event.attempt, True
        progress.due_ms = event.retry_ms

    def not_built(self, state: SagaState, event: history.StepNotBuilt) -> None:
        progress = state.steps.setdefault(event.step, Progress(Stage.NOT_BUILT))
        progress.attempt, progress.resting = event.attempt, True
        progress.due_ms = event.retry_ms

    def wait_began(self, state: SagaState, event: history.WaitBegan) -> None:
        progress = state.steps[event.wait] = Progress(Stage.WAITING)
        progress.due_ms = event.due_ms

    def signal_received(self, state: SagaState, event: history.SignalReceived) -> None:
        progress = state.steps.setdefault(event.wait, Progress(Stage.WAITING))
        progress.stage, progress.reply = Stage.REPLIED, Text(event.type, event.version, event.message)
        progress.due_ms = 0

    def wait_unanswered(self, state: SagaState, event: history.WaitUnanswered) -> None:
        progress = state.steps[event.wait]
        progress.stage, progress.due_ms = Stage.UNANSWERED, 0

    def cancel_asked(self, state: SagaState, _: history.CancelAsked) -> None:
        state.cancelled = True

    def turned(self, state: SagaState, event: history.CompensationStarted) -> None:
        state.phase, state.turned_at, state.reason = Phase.COMPENSATING, event.step, event.reason
        state.detail = event.detail
        state.refusal = Text(event.type, event.version, event.refusal)
        for progress in state.steps.values():
            progress.due_ms, progress.resting = 0, False

    def undo_sent(self, state: SagaState, event: history.UndoSent) -> None:
        progress = state.steps[event.step]
        progress.stage, progress.attempt, progress.resting = Stage.UNDOING, 1, False
        progress.undo, progress.undo_id = Text(event.type, event.version, event.command), event.id
        progress.due_ms = event.due_ms

    def undo_parked(self, state: SagaState, event: history.UndoParked) -> None:
        progress = state.steps[event.step]
        progress.stage, progress.due_ms, progress.resting = Stage.PARKED, 0, False

    def undo_skipped(self, state: SagaState, event: history.UndoSkipped) -> None:
        progress = state.steps[event.step]
        progress.stage, progress.due_ms, progress.resting = Stage.SKIPPED, 0, False

    def step_undone(self, state: SagaState, event: history.StepUndone) -> None:
        progress = state.steps[event.step]
        progress.stage, progress.due_ms, progress.resting = Stage.UNDONE, 0, False

    def completed(self, state: SagaState, event: history.SagaCompleted) -> None:
        state.phase, state.result, state.waiting = Phase.COMPLETED, event.result, []
        state.view = None

    def undone(self, state: SagaState, _: history.SagaUndone) -> None:
        state.phase, state.waiting = Phase.UNDONE, []
        state.view = None


_CHANGES: dict[type[Event], Callable[[Fold, SagaState, Any], None]] = {
    history.SagaStarted: Fold.started,
    history.OutcomeAsked: Fold.outcome_asked,
    history.ConditionAnswered: Fold.condition_answered,
    history.StepSent: Fold.step_sent,
    history.StepResent: Fold.resent,
    history.StepReplied: Fold.step_replied,
    history.StepRefused: Fold.step_refused,
    history.StepFailed: Fold.failed,
    history.StepNotBuilt: Fold.not_built,
    history.WaitBegan: Fold.wait_began,
    history.SignalReceived: Fold.signal_received,
    history.WaitUnanswered: Fold.wait_unanswered,
    history.CancelAsked: Fold.cancel_asked,
    history.CompensationStarted: Fold.turned,
    history.UndoSent: Fold.undo_sent,
    history.UndoResent: Fold.resent,
    history.UndoFailed: Fold.failed,
    history.UndoParked: Fold.undo_parked,
    history.UndoSkipped: Fold.undo_skipped,
    history.StepUndone: Fold.step_undone,
    history.SagaCompleted: Fold.completed,
    history.SagaUndone: Fold.undone,
}
