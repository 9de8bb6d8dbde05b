"""What sagas take in and answer: start, questions about one, signals, operators' decisions.

Every definition has a start command of its own, named `<saga>.start`, so that a start goes to the saga's inbox like any
command. The other messages are the same for all; they are put into the inbox of one saga by name and key.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol, cast

from schemas import Command, Message, Refusal, Reply


class SagaAccepted(Reply, name="sagalog.saga.accepted"):
    """The saga is in the log."""

    key: str
    version: int
    is_new: bool
    """False: it was started before, with the same input."""


class KeyTaken(Refusal, name="sagalog.saga.key_taken"):
    """The key stands for a saga with other input."""

    key: str


class Start(Protocol):
    """The fields of each definition's start command."""

    key: str
    version: int
    input: str
    wait: bool


@cache
def start_type(saga: str) -> type[Command[SagaAccepted, KeyTaken]]:
    """The start command of the saga of this name."""

    class StartSaga(Command[SagaAccepted, KeyTaken], to=saga, key="key", name=f"{saga}.start"):
        """Start the saga. A repeat with the same input changes nothing."""

        key: str
        version: int
        input: str
        wait: bool = False
        """Answer when the saga ends, by its `SagaOutcome`, instead of when it was accepted."""

    return StartSaga


def start_command(
    saga: str,
    *,
    key: str,
    version: int,
    input: str,
    wait: bool = False,
) -> Command[SagaAccepted, KeyTaken]:
    """A start of the saga."""
    make = cast("Any", start_type(saga))
    return cast("Command[SagaAccepted, KeyTaken]", make(key=key, version=version, input=input, wait=wait))


class Noted(Reply, name="sagalog.saga.noted"):
    """The message is recorded."""


@cache
def undo_type(saga: str) -> type[Command[Noted]]:
    """The command by which a parent undoes its child of this name."""

    class UndoSaga(Command[Noted], to=saga, key="key", name=f"{saga}.undo"):
        """Undo the saga, also when it is completed. Answered when it is undone."""

        key: str

    return UndoSaga


def undo_command(saga: str, key: str) -> Command[Any, Any]:
    """What undoes the saga of this name and key for its parent."""
    return cast("Command[Any, Any]", cast("Any", undo_type(saga))(key=key))


class UnknownSaga(Refusal, name="sagalog.saga.unknown"):
    """No saga was started under this key."""

    key: str


class Refused(Refusal, name="sagalog.saga.refused"):
    """The message is of no use to the saga as it is now."""

    why: str


class AskOutcome(Message, name="sagalog.saga.ask_outcome"):
    """Answered by `SagaOutcome` when the saga has ended."""


class SagaOutcome(Reply, name="sagalog.saga.outcome"):
    """How a saga ended."""

    key: str
    completed: bool
    result: str = ""
    """JSON, if it completed and has a result."""
    step: str = ""
    """Where it turned back, if it was undone."""
    reason: str = ""
    """One of refused, timed out, deadline, cancelled, failed."""
    detail: str = ""
    """What was raised, if it failed."""
    type: str = ""
    version: int = 0
    refusal: str = ""
    """The refusal as JSON, of this type."""


class AskStatus(Message, name="sagalog.saga.ask_status"):
    """Answered by `SagaStatus`."""


class SagaStatus(Reply, name="sagalog.saga.status"):
    """How a saga stands."""

    key: str
    version: int
    phase: str
    """One of forward, compensating, completed, undone."""
    steps: dict[str, str]
    """Steps that were begun: sent, replied, refused, undoing, undone, parked, skipped, waiting, unanswered, failing."""
    attempts: dict[str, int]
    """Of the steps under way: the number of the attempt."""
    parked: list[str]
    """Steps whose undo waits for an operator."""
    step: str = ""
    """Where it turned back."""
    reason: str = ""
    pivot_passed: bool = False


class AskHistory(Message, name="sagalog.saga.ask_history"):
    """Answered by `HistoryPage`."""

    after: int = -1
    """The version of the last event that is known already."""


class HistoryPage(Reply, name="sagalog.saga.history_page"):
    """Events of a saga's stream, in order."""

    first: int
    """The version of the first one."""
    timestamps_ms: list[int]
    events: list[str]
    """Each event in wire format, as base64."""
    is_last: bool


class Signal(Message, name="sagalog.saga.signal"):
    """A message for one of the saga's waits. Answered by `Noted` or a refusal."""

    wait: str
    type: str
    version: int
    message: str


class CancelSaga(Message, name="sagalog.saga.cancel"):
    """Undo the saga, unless its pivot was sent. Answered by `Noted` or a refusal."""

    who: str = ""
    why: str = ""


class RetryUndo(Message, name="sagalog.saga.retry_undo"):
    """An operator wants a parked undo sent again. Answered by `Noted` or a refusal."""

    step: str
    who: str
    why: str


class SkipUndo(Message, name="sagalog.saga.skip_undo"):
    """An operator declares a parked step undone. Answered by `Noted` or a refusal."""

    step: str
    who: str
    why: str


class Wake(Message, name="sagalog.saga.wake"):
    """The saga's timer: something may be due."""


MESSAGES: tuple[type[Message], ...] = (
    SagaAccepted,
    KeyTaken,
    UnknownSaga,
    Refused,
    Noted,
    AskOutcome,
    SagaOutcome,
    AskStatus,
    SagaStatus,
    AskHistory,
    HistoryPage,
    Signal,
    CancelSaga,
    RetryUndo,
    SkipUndo,
    Wake,
)
"""All of them, the start commands excepted."""
