"""One decision about one saga: its state, what was put in, and how it sends.

Modules of the orchestrator share it. Everything they do is in events and sends of the context, so a retried batch
decides alike.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, cast

import msgspec

from consumers.retry import Retry
from eventstore.processor.port import DecideContext
from eventstore.raised import Raised
from sagas.children import Child
from sagas.graph import Graph, Leaf
from sagas.history import SagaUndone
from sagas.messages import SagaOutcome, Wake
from sagas.state import Phase, Progress, SagaState, Text, decoded, view_of
from sagas.steps import ATTEMPT_TIMEOUT, Step
from schemas import Command, Message, ReplyTo, Undecodable
from schemas.kept_json import kept_json

TIMER = "wake"
TIMED_OUT = "timed out"
DEFAULT_RETRY = Retry()
_ADDRESS = msgspec.json.Decoder(ReplyTo)


class Turn:
    """The saga, the input's context, and the definition that the saga keeps to."""

    __slots__ = ("_raised", "context", "graph", "now_ms", "state")

    def __init__(self, state: SagaState, context: DecideContext[SagaState], graph: Graph, raised: Raised) -> None:
        self.state, self.context, self.graph, self._raised = state, context, graph, raised
        self.now_ms = int(context.now.timestamp() * 1000)

    @property
    def view(self) -> Any:
        """The instance that builders run on."""
        return view_of(self.state, self.graph)

    def raised(self, step: str, error: BaseException, *, undo: bool = False) -> None:
        """Tell on the log what a method of the definition raised."""
        self._raised.tell("undo_raised" if undo else "step_raised", error, saga=self.graph.name, step=step)

    def message(self, text: Text) -> Message:
        """A message of the history."""
        return decoded(self.graph, text)

    def command(self, text: Text) -> Command[Any, Any]:
        """A command of the history."""
        command: Any = decoded(self.graph, text)
        assert isinstance(command, Command), f"{text.type} is no command"
        return cast("Any", command)  # type: ignore[no-any-return] # mypy calls the exact cast redundant

    def send_do(self, step: str, command: Command[Any, Any], progress: Progress) -> None:
        """Send a step's command, or send it again under the same id (P4)."""
        self.context.send(
            command,
            id=progress.id,
            correlation=f"{step}/do/{progress.attempt}",
            reply=True,
            attributes=self._attributes(step, "do"),
            to=progress.to,
        )

    def send_undo(self, step: str, command: Command[Any, Any], progress: Progress) -> None:
        """Send what undoes a step where its do went (P2), or send it again."""
        self.context.send(
            command,
            id=progress.undo_id,
            correlation=f"{step}/undo/{progress.attempt}",
            reply=True,
            attributes=self._attributes(step, "undo"),
            to=progress.to,
        )

    def attempt_due_ms(self, leaf: Leaf) -> int:
        """When an attempt that begins now times out; a child has time-outs of its own."""
        if isinstance(leaf, Child):
            return 0
        return self.now_ms + _ms(leaf.timeout or ATTEMPT_TIMEOUT)

    def retry_due_ms(self, leaf: Leaf | None, attempt: int) -> int:
        """When the attempt after this one begins."""
        wait = retry_of(leaf).delay(attempt, Random(f"{self.context.metadata.id}/{attempt}"))
        return self.now_ms + max(_ms(wait), 1)

    def answer_later(self) -> str:
        """The address of the input's sender, as histories hold it; empty if it wants no answer."""
        reply = self.context.metadata.reply
        return "" if reply is None else address_text(reply)

    def tell(self, waiting: list[str]) -> None:
        """Tell everybody who waits how the saga ended."""
        if waiting:
            message = outcome_of(self.state)
            for text in waiting:
                self.context.send_to(address_of(text), message)

    def end_undone(self) -> None:
        """Everything is undone."""
        waiting = self.state.waiting
        self.context.append(SagaUndone())
        self.tell(waiting)

    def set_timer(self, before_ms: int) -> None:
        """Let the saga's one timer stand no later than what is due next.

        `before_ms` is where it stands at the latest; 0: nowhere. An earlier one is left as it is: it costs less to wake
        for nothing than to move it with each step.
        """
        if not self.state.is_running:
            self.context.cancel(TIMER)
            return
        due_ms = self.state.next_due_ms()
        if due_ms and (not before_ms or due_ms < before_ms):
            self.context.schedule(TIMER, datetime.fromtimestamp(due_ms / 1000, UTC), Wake())

    def _attributes(self, step: str, role: str) -> dict[str, str]:
        return {"saga": f"{self.graph.name}/{self.state.key}", "step": step, "role": role}


def retry_of(leaf: Leaf | None) -> Retry:
    """How often a leaf is tried; the default for what is no step."""
    return leaf.retry if isinstance(leaf, Step) else DEFAULT_RETRY


def outcome_of(state: SagaState) -> SagaOutcome:
    """How an ended saga ended."""
    if state.phase is Phase.COMPLETED:
        return SagaOutcome(key=state.key, completed=True, result=state.result)
    kind, version, text = state.refusal
    return SagaOutcome(
        key=state.key,
        completed=False,
        step=state.turned_at,
        reason=state.reason,
        detail=state.detail,
        type=kind,
        version=version,
        refusal=text,
    )


def text_of(message: Message) -> Text:
    """A message as histories hold it."""
    return Text(message.__type_name__, message.__type_version__, kept_json(message))


def address_text(address: ReplyTo) -> str:
    """An address as histories hold it: JSON."""
    return msgspec.json.encode(address).decode()


def address_of(text: str) -> ReplyTo:
    """The address that stands in a history.

    Raises:
        Undecodable: the text is none.
    """
    try:
        return _ADDRESS.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Undecodable("an address in a history", str(error)) from error


def _ms(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)
