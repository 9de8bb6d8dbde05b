"""Forward: begin what the flow says is next, take answers, time out and try again, complete (P3, P4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eventstore.log.errors import MessageTooLarge
from eventstore.processor.port import Destination
from eventstore.raised import FROM_OUTSIDE
from sagas import backward
from sagas.children import Child
from sagas.errors import BadStep
from sagas.flow import Node, Parallel, When
from sagas.graph import Leaf
from sagas.history import (
    ConditionAnswered,
    SagaCompleted,
    SignalReceived,
    StepFailed,
    StepNotBuilt,
    StepRefused,
    StepReplied,
    StepResent,
    StepSent,
    WaitBegan,
    WaitUnanswered,
)
from sagas.messages import SagaOutcome, Signal, start_command
from sagas.state import Phase, Progress, Stage, Text
from sagas.steps import Step
from sagas.turn import TIMED_OUT, Turn, retry_of, text_of
from sagas.waits import Wait
from schemas import Command, Failure, Message, Refusal
from schemas.error_text import error_reason, error_text
from schemas.kept_json import kept_json

DETAIL_CHARACTERS = 500
"""How much of an error's text is recorded."""


def advance(turn: Turn) -> None:
    """Begin every leaf that can begin now; complete the saga when all are done."""
    state, ready = turn.state, list[Leaf]()
    try:
        is_done = _walk(turn, turn.graph.flow, ready)
    except _NotAnswered as broken:
        not_built(turn, broken.condition, broken.error)
        return
    for leaf in ready:
        if state.phase is Phase.FORWARD:
            _begin(turn, leaf)
    if is_done:
        _complete(turn)


def answered(turn: Turn, leaf: Leaf, progress: Progress, message: Message, *, attempt: int) -> None:
    """Take an answer to a step's command. One that comes too late changes nothing.

    It is too late when the saga turned back: a step in doubt has nothing after it, so that its undo was sent at once.
    """
    step = leaf.name
    if not progress.is_open or turn.state.phase is not Phase.FORWARD:
        return
    if isinstance(message, Failure):
        if attempt == progress.attempt and not progress.resting:
            attempt_failed(turn, leaf, progress, message.error, message.detail, is_final=message.final)
    elif type(message) not in turn.graph.answers[step]:
        if not progress.resting:
            undeclared = f"{message.__type_name__} is no declared answer of {progress.command.type}"
            attempt_failed(turn, leaf, progress, "AnswerNotDeclared", undeclared, is_final=False)
    elif isinstance(message, Refusal):
        is_final = turn.context.metadata.attributes.get("refusal") == "final"
        _refused(turn, step, text_of(message), "refused", is_final=is_final)
    elif isinstance(message, SagaOutcome) and not message.completed:
        refusal = Text(message.type, message.version, message.refusal)
        _refused(turn, step, refusal, message.reason, is_final=True, detail=message.detail)
    else:
        kind, version, text = text_of(message)
        turn.context.append(StepReplied(step=step, type=kind, version=version, reply=text))
        advance(turn)


def signalled(turn: Turn, wait: Wait[Any, Any], signal: Signal) -> None:
    """Take a signalled message, or keep it until the saga waits for it (P6)."""
    turn.context.append(
        SignalReceived(wait=wait.name, type=signal.type, version=signal.version, message=signal.message)
    )
    advance(turn)


def due(turn: Turn, leaf: Leaf | None, progress: Progress) -> None:
    """Something of a leaf is due: its attempt timed out, its next attempt begins, or nobody signalled."""
    if progress.stage is Stage.NOT_BUILT:
        advance(turn)
    elif isinstance(leaf, Wait):
        _unanswered(turn, leaf)
    elif leaf is not None and progress.resting:
        turn.context.append(StepResent(step=leaf.name, attempt=progress.attempt + 1, due_ms=turn.attempt_due_ms(leaf)))
        turn.send_do(leaf.name, turn.command(progress.command), progress)
    elif leaf is not None:
        attempt_failed(turn, leaf, progress, TIMED_OUT, "", is_final=False)


def attempt_failed(turn: Turn, leaf: Leaf, progress: Progress, error: str, detail: str, *, is_final: bool) -> None:
    """An attempt has no known outcome: try again later, or, before the pivot and after the last attempt, turn back."""
    attempt = progress.attempt
    goes_on = _only_forward(turn, leaf.name) or (retry_of(leaf).is_left(attempt) and not is_final)
    retry_ms = turn.retry_due_ms(leaf, attempt) if goes_on else 0
    turn.context.append(
        StepFailed(step=leaf.name, attempt=attempt, error=error, detail=detail[:DETAIL_CHARACTERS], retry_ms=retry_ms)
    )
    if not goes_on:
        if error == TIMED_OUT:
            backward.turn_back(turn, leaf.name, TIMED_OUT)
        else:
            backward.turn_back(turn, leaf.name, "failed", detail=_said(error, detail))


def not_built(turn: Turn, name: str, error: BaseException) -> None:
    """A builder raised: turn back, or, after the pivot, try again for ever (code can be mended)."""
    progress = turn.state.steps.get(name)
    attempt = progress.attempt + 1 if progress is not None and progress.stage is Stage.NOT_BUILT else 1
    turn.raised(name, error)
    leaf = turn.graph.leaves.get(name)
    retry_ms = turn.retry_due_ms(leaf, attempt) if turn.state.pivot_passed else 0
    turn.context.append(
        StepNotBuilt(
            step=name,
            error=type(error).__name__,
            detail=error_text(error)[:DETAIL_CHARACTERS],
            attempt=attempt,
            retry_ms=retry_ms,
        )
    )
    if not turn.state.pivot_passed:
        backward.turn_back(turn, name, "failed", detail=error_reason(error))


def _said(error: str, detail: str) -> str:
    """`AttributeError: 'list' object has no attribute 'apend'`."""
    return f"{error}: {detail}" if detail else error


class _NotAnswered(Exception):
    """A condition raised."""

    def __init__(self, condition: str, error: BaseException) -> None:
        super().__init__(condition)
        self.condition, self.error = condition, error


def _walk(turn: Turn, node: Node, ready: list[Leaf]) -> bool:
    """Whether the part is done; leaves that can begin are added to `ready`."""
    if not node.parts:
        return _leaf(turn, turn.graph.leaves[node.name], ready)
    if isinstance(node, Parallel):
        done = [_walk(turn, part, ready) for part in node.parts]  # all of them begin, so no generator
        return all(done)
    if isinstance(node, When):
        answer = _answer(turn, node)
        chosen = node.then if answer else node.otherwise
        return answer is not None and (chosen is None or _walk(turn, chosen, ready))
    return all(_walk(turn, part, ready) for part in node.parts)


def _leaf(turn: Turn, leaf: Leaf, ready: list[Leaf]) -> bool:
    progress = turn.state.steps.get(leaf.name)
    if progress is None or (progress.stage is Stage.NOT_BUILT and progress.due_ms <= turn.now_ms):
        ready.append(leaf)
        return False
    return progress.stage in (Stage.REPLIED, Stage.UNANSWERED)


def _answer(turn: Turn, node: When) -> bool | None:
    """Ask the condition, unless it was asked before; None while it waits to be tried again."""
    name = node.test.name
    known = turn.state.conditions.get(name)
    if known is None:
        progress = turn.state.steps.get(name)
        if progress is not None and progress.due_ms > turn.now_ms:
            return None
        try:
            known = bool(node.test.test(turn.view))
        except (MemoryError, *FROM_OUTSIDE):
            raise
        except BaseException as error:
            raise _NotAnswered(name, error) from error
        turn.context.append(ConditionAnswered(condition=name, answer=known))
    return known


def _begin(turn: Turn, leaf: Leaf) -> None:
    if isinstance(leaf, Wait):
        timeout = int(leaf.timeout.total_seconds() * 1000) if leaf.timeout else 0
        turn.context.append(WaitBegan(wait=leaf.name, due_ms=turn.now_ms + timeout))
        return
    try:
        command = _command(turn, leaf)
        text = text_of(command)
    except (MemoryError, *FROM_OUTSIDE):
        raise
    except BaseException as error:  # noqa: BLE001 (whatever the user's code raises)
        not_built(turn, leaf.name, error)
        return
    to, id_ = turn.context.destination(command), turn.context.new_id()
    try:
        turn.context.append(_sent(leaf.name, text, id_, to, turn.attempt_due_ms(leaf)))
    except MessageTooLarge as error:
        not_built(turn, leaf.name, error)
        return
    turn.send_do(leaf.name, command, turn.state.steps[leaf.name])


def _sent(step: str, command: Text, id_: str, to: Destination, due_ms: int) -> StepSent:
    kind, version, text = command
    return StepSent(
        step=step,
        type=kind,
        version=version,
        command=text,
        id=id_,
        topic=to.topic,
        partition=to.partition,
        key=to.key,
        due_ms=due_ms,
    )


def _command(turn: Turn, leaf: Step[Any, Any] | Child[Any, Any]) -> Command[Any, Any]:
    if not isinstance(leaf, Child):
        command: Command[Any, Any] = leaf.build(turn.view)
        if type(command) not in leaf.sends:
            declared = " | ".join(each.__name__ for each in leaf.sends)
            raise BadStep(turn.graph.saga.__name__, leaf.name, _named(command), declared)
        return command
    child, built = leaf.saga, leaf.build(turn.view)
    return start_command(
        child.__saga__,
        key=child.key_of(built),
        version=child.__saga_version__,
        input=kept_json(built),
        wait=True,
    )


def _named(built: object) -> str:
    return "nothing (None)" if built is None else f"one {type(built).__name__}"


def _refused(turn: Turn, step: str, refusal: Text, reason: str, *, is_final: bool, detail: str = "") -> None:
    kind, version, text = refusal
    turn.context.append(StepRefused(step=step, type=kind, version=version, refusal=text, final=is_final))
    backward.turn_back(turn, step, reason, refusal, detail=detail)


def _unanswered(turn: Turn, wait: Wait[Any, Any]) -> None:
    turn.context.append(WaitUnanswered(wait=wait.name))
    if wait.unanswered == "continue":
        advance(turn)
    else:
        backward.turn_back(turn, wait.name, TIMED_OUT)


def _only_forward(turn: Turn, step: str) -> bool:
    """P3: the pivot in doubt is neither undone nor passed; after it there is no way back."""
    return step == turn.graph.pivot or turn.state.pivot_passed


def _complete(turn: Turn) -> None:
    result, text = turn.graph.result, ""
    if result is not None:
        progress = turn.state.steps.get(result.name)
        if progress is not None and progress.due_ms > turn.now_ms:
            return
        build: Callable[[Any], Any] = result.build
        try:
            text = kept_json(build(turn.view))
        except (MemoryError, *FROM_OUTSIDE):
            raise
        except BaseException as error:  # noqa: BLE001 (whatever the user's code raises)
            not_built(turn, result.name, error)
            return
    waiting = turn.state.waiting
    turn.context.append(SagaCompleted(result=text))
    turn.tell(waiting)
