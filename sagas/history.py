"""What is recorded of a saga: one stream of these events per saga, of all definitions.

The types are the same for every definition, so that every reader of the log can follow any saga. Commands, replies and
the input stand in them as JSON text beside their type name and version, because people read histories. Instants are
milliseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas import Event


class SagaStarted(Event, name="sagalog.saga.started"):
    """A saga began, under a version of its definition that it keeps to its end."""

    saga: str
    version: int
    input: str
    deadline_ms: int = 0
    """0: none."""
    answer_to: str = ""
    """Who waits for the outcome: `schemas.ReplyTo` as JSON; empty if nobody does."""


class OutcomeAsked(Event, name="sagalog.saga.outcome_asked"):
    """Somebody waits for the outcome."""

    answer_to: str


class ConditionAnswered(Event, name="sagalog.saga.condition_answered"):
    """A condition was asked, which happens once."""

    condition: str
    answer: bool


class StepSent(Event, name="sagalog.saga.step_sent"):
    """A step's command was sent, and where to: what undoes it will go there too (P2)."""

    step: str
    type: str
    version: int
    command: str
    id: str
    topic: str
    partition: int
    key: str
    due_ms: int
    """When the attempt times out."""


class StepResent(Event, name="sagalog.saga.step_resent"):
    """The same command, under the same id, was sent again (P4)."""

    step: str
    attempt: int
    due_ms: int


class StepReplied(Event, name="sagalog.saga.step_replied"):
    """The step was done."""

    step: str
    type: str
    version: int
    reply: str


class StepRefused(Event, name="sagalog.saga.step_refused"):
    """The step was refused. If that is not final, an earlier run of it may have succeeded (P1)."""

    step: str
    type: str
    version: int
    refusal: str
    final: bool


class StepFailed(Event, name="sagalog.saga.step_failed"):
    """An attempt has no known outcome: no answer in time, or a failure in answer. The step is in doubt."""

    step: str
    attempt: int
    error: str
    detail: str = ""
    retry_ms: int = 0
    """When the next attempt begins; 0: none does."""


class StepNotBuilt(Event, name="sagalog.saga.step_not_built"):
    """A builder of the definition raised: nothing was sent."""

    step: str
    error: str
    detail: str = ""
    attempt: int = 1
    retry_ms: int = 0
    """When it is tried again (after the pivot it is, for ever); 0: it is not."""


class WaitBegan(Event, name="sagalog.saga.wait_began"):
    """The saga waits for a message."""

    wait: str
    due_ms: int


class SignalReceived(Event, name="sagalog.saga.signal_received"):
    """A message was signalled; it is kept if the saga does not wait for it yet (P6)."""

    wait: str
    type: str
    version: int
    message: str


class WaitUnanswered(Event, name="sagalog.saga.wait_unanswered"):
    """Nobody signalled the message in time."""

    wait: str


class CancelAsked(Event, name="sagalog.saga.cancel_asked"):
    """Somebody wants the saga undone."""

    who: str = ""
    why: str = ""


class CompensationStarted(Event, name="sagalog.saga.compensation_started"):
    """From here on the saga is undone, because of what happened at `step`."""

    step: str
    reason: str
    """One of refused, timed out, deadline, cancelled, failed."""
    detail: str = ""
    """What was raised, if it failed."""
    type: str = ""
    """The refusal's type, if it was refused."""
    version: int = 0
    refusal: str = ""


class UndoSent(Event, name="sagalog.saga.undo_sent"):
    """What undoes a step was sent where the step's command went."""

    step: str
    type: str
    version: int
    command: str
    id: str
    due_ms: int
    in_doubt: bool
    """Whether the step may never have been done."""


class UndoResent(Event, name="sagalog.saga.undo_resent"):
    """The same undo, under the same id, was sent again."""

    step: str
    attempt: int
    due_ms: int
    who: str = ""
    """The operator who asked for it; empty if the schedule did."""
    why: str = ""


class UndoFailed(Event, name="sagalog.saga.undo_failed"):
    """An attempt to undo has no known outcome, or failed."""

    step: str
    attempt: int
    error: str
    detail: str = ""
    retry_ms: int = 0
    """When the next attempt begins; 0: none does, the undo is parked."""


class UndoParked(Event, name="sagalog.saga.undo_parked"):
    """The undo failed too often: an operator decides."""

    step: str
    error: str


class UndoSkipped(Event, name="sagalog.saga.undo_skipped"):
    """An operator declared the step undone."""

    step: str
    who: str
    why: str


class StepUndone(Event, name="sagalog.saga.step_undone"):
    """The step was undone."""

    step: str


class SagaCompleted(Event, name="sagalog.saga.completed"):
    """All steps are done."""

    result: str = ""
    """JSON; empty if the definition has no result."""


class SagaUndone(Event, name="sagalog.saga.undone"):
    """Everything that may have happened is undone."""


EVENTS: Sequence[type[Event]] = (
    SagaStarted,
    OutcomeAsked,
    ConditionAnswered,
    StepSent,
    StepResent,
    StepReplied,
    StepRefused,
    StepFailed,
    StepNotBuilt,
    WaitBegan,
    SignalReceived,
    WaitUnanswered,
    CancelAsked,
    CompensationStarted,
    UndoSent,
    UndoResent,
    UndoFailed,
    UndoParked,
    UndoSkipped,
    StepUndone,
    SagaCompleted,
    SagaUndone,
)
"""All of them."""
