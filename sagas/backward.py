"""Backward: undo what may have happened, in reverse order of the flow, parallel parts at once (P1, P2)."""

from __future__ import annotations

from typing import Any, cast

from eventstore.raised import FROM_OUTSIDE
from sagas.children import Child
from sagas.errors import BadUndo
from sagas.graph import Leaf
from sagas.history import (
    CompensationStarted,
    StepUndone,
    UndoFailed,
    UndoParked,
    UndoResent,
    UndoSent,
    UndoSkipped,
)
from sagas.messages import undo_command
from sagas.state import NO_TEXT, Progress, Stage, Text, decoded_reply
from sagas.steps import Step, Unset
from sagas.turn import TIMED_OUT, Turn, retry_of, text_of
from schemas import Command, Failure, Message, Refusal, Undo
from schemas.error_text import error_text
from schemas.personal_fields import sealed_json

DETAIL_CHARACTERS = 500
"""How much of an error's text is recorded."""


def turn_back(turn: Turn, step: str, reason: str, refusal: Text = NO_TEXT, *, detail: str = "") -> None:
    """From here on the saga is undone. `detail`: what was raised, if it failed."""
    kind, version, text = refusal
    turn.context.append(
        CompensationStarted(
            step=step,
            reason=reason,
            detail=detail[:DETAIL_CHARACTERS],
            type=kind,
            version=version,
            refusal=text,
        )
    )
    roll_back(turn)


def roll_back(turn: Turn) -> None:
    """Send each undo for which everything later is settled; end the saga when everything is."""
    steps, later = turn.state.steps, turn.graph.later
    is_settled = True
    for name, progress in list(steps.items()):
        leaf = turn.graph.leaves.get(name)
        if leaf is None or _is_settled(leaf, progress):
            continue
        is_settled = False
        if progress.may_have_happened and all(
            _is_settled(turn.graph.leaves[other], steps[other]) for other in later[name] if other in steps
        ):
            _undo(turn, leaf, progress)
    if is_settled:
        turn.end_undone()


def answered(turn: Turn, leaf: Leaf, progress: Progress, message: Message, *, attempt: int) -> None:
    """Take an answer to an undo; also when it comes after the undo was parked."""
    if progress.stage not in (Stage.UNDOING, Stage.PARKED):
        return
    if not isinstance(message, (Failure, Refusal)):
        turn.context.append(StepUndone(step=leaf.name))
        roll_back(turn)
    elif attempt == progress.attempt and not progress.resting and progress.stage is Stage.UNDOING:
        if isinstance(message, Failure):
            _attempt_failed(turn, leaf, progress, message.error, message.detail, is_final=message.final)
        else:
            text = sealed_json(message)
            _attempt_failed(turn, leaf, progress, f"refused: {message.__type_name__}", text, is_final=True)


def due(turn: Turn, leaf: Leaf, progress: Progress) -> None:
    """An attempt to undo timed out, or the next one begins."""
    if progress.resting:
        send_again(turn, leaf, progress)
    else:
        _attempt_failed(turn, leaf, progress, TIMED_OUT, "", is_final=False)


def send_again(turn: Turn, leaf: Leaf, progress: Progress, *, who: str = "", why: str = "") -> None:
    """Send the undo again under its id; one that could not be built is built anew."""
    if not progress.undo_id:
        _undo(turn, leaf, progress)
        return
    turn.context.append(
        UndoResent(step=leaf.name, attempt=progress.attempt + 1, due_ms=turn.attempt_due_ms(leaf), who=who, why=why)
    )
    turn.send_undo(leaf.name, turn.command(progress.undo), progress)


def skip(turn: Turn, leaf: Leaf, *, who: str, why: str) -> None:
    """An operator declares the step undone."""
    turn.context.append(UndoSkipped(step=leaf.name, who=who, why=why))
    roll_back(turn)


def _is_settled(leaf: Leaf, progress: Progress) -> bool:
    return progress.is_settled or (progress.may_have_happened and not _has_undo(leaf))


def _has_undo(leaf: Leaf) -> bool:
    if isinstance(leaf, Step):
        return leaf.undo_builder is not None and leaf.undo_builder is not Unset.UNSET
    return isinstance(leaf, Child)


def _undo(turn: Turn, leaf: Leaf, progress: Progress) -> None:
    try:
        command = _undo_command(turn, leaf, progress)
    except (MemoryError, *FROM_OUTSIDE):
        raise
    except BaseException as error:  # noqa: BLE001 (whatever the user's code raises)
        turn.raised(leaf.name, error, undo=True)
        detail = error_text(error)[:DETAIL_CHARACTERS]
        turn.context.append(UndoFailed(step=leaf.name, attempt=1, error=type(error).__name__, detail=detail))
        turn.context.append(UndoParked(step=leaf.name, error=type(error).__name__))
        return
    kind, version, text = text_of(command)
    turn.context.append(
        UndoSent(
            step=leaf.name,
            type=kind,
            version=version,
            command=text,
            id=turn.context.new_id(),
            due_ms=turn.attempt_due_ms(leaf),
            in_doubt=progress.stage is not Stage.REPLIED,
        )
    )
    turn.send_undo(leaf.name, command, turn.state.steps[leaf.name])


def _undo_command(turn: Turn, leaf: Leaf, progress: Progress) -> Command[Any, Any]:
    """P2: built from the original command, and the reply or None."""
    if isinstance(leaf, Child):
        return undo_command(leaf.saga.__saga__, progress.to.key)
    did, builder = turn.command(progress.command), cast("Any", leaf).undo_builder
    if builder is Undo:
        mirrored: Any = cast("Any", Undo)[type(did)]
        return cast("Command[Any, Any]", mirrored(did=did))
    if builder.__code__.co_argcount < 3:
        built = builder(turn.view, did)
    else:
        reply = decoded_reply(turn.graph, progress.reply) if progress.reply else None
        built = builder(turn.view, did, reply)
    if not isinstance(built, Command):
        raise BadUndo(turn.graph.saga.__name__, leaf.name, repr(built))
    return cast("Any", built)  # type: ignore[no-any-return] # mypy calls the exact cast redundant


def _attempt_failed(turn: Turn, leaf: Leaf, progress: Progress, error: str, detail: str, *, is_final: bool) -> None:
    attempt = progress.attempt
    goes_on = retry_of(leaf).is_left(attempt) and not is_final
    retry_ms = turn.retry_due_ms(leaf, attempt) if goes_on else 0
    turn.context.append(
        UndoFailed(step=leaf.name, attempt=attempt, error=error, detail=detail[:DETAIL_CHARACTERS], retry_ms=retry_ms)
    )
    if not goes_on:
        turn.context.append(UndoParked(step=leaf.name, error=error))
