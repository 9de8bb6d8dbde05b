"""Where a saga stands: the fold of its history.

What the fold keeps is exactly what the events say. Decoded input and replies are cached beside it; they follow from
the texts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, NamedTuple, cast

from eventstore.processor.port import Destination
from sagas.children import Child
from sagas.errors import ReplyNotThere
from sagas.graph import Graph
from sagas.messages import SagaOutcome
from schemas import Message, Nothing, Undecodable, UnknownType
from schemas.error_text import error_reason
from schemas.json_codec import JsonCodec
from schemas.kept_json import read_kept

_json: Final = JsonCodec()


class Phase(Enum):
    """Which way a saga goes."""

    NEW = "new"
    FORWARD = "forward"
    COMPENSATING = "compensating"
    COMPLETED = "completed"
    UNDONE = "undone"


class Stage(Enum):
    """How a step stands."""

    NOT_BUILT = "failing"
    SENT = "sent"
    REPLIED = "replied"
    REFUSED = "refused"
    UNDOING = "undoing"
    PARKED = "parked"
    UNDONE = "undone"
    SKIPPED = "skipped"
    WAITING = "waiting"
    UNANSWERED = "unanswered"


class Text(NamedTuple):
    """A message as histories hold it."""

    type: str
    version: int
    json: str


NO_TEXT = Text("", 0, "")


class Progress:
    """How far one step, wait or child is."""

    __slots__ = ("attempt", "command", "due_ms", "final", "id", "reply", "resting", "stage", "to", "undo", "undo_id")

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.command = self.undo = NO_TEXT
        self.id = self.undo_id = ""
        self.to = Destination("", 0, "")
        self.attempt = 1
        self.due_ms = 0
        """When the attempt times out, or, between attempts, when the next one begins; 0: nothing is due."""
        self.resting = False
        """Whether it is between attempts."""
        self.reply: Text | None = None
        self.final = False
        """Of a refusal: whether nothing happened for certain."""

    @property
    def is_open(self) -> bool:
        """Whether an answer to the step itself still counts."""
        return self.stage is Stage.SENT

    @property
    def may_have_happened(self) -> bool:
        """P1: whether there may be something to undo."""
        return self.stage in (Stage.SENT, Stage.REPLIED) or (self.stage is Stage.REFUSED and not self.final)

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing left to undo."""
        return not self.may_have_happened and self.stage not in (Stage.UNDOING, Stage.PARKED)


class SagaState:
    """One saga."""

    __slots__ = (
        "cancelled", "conditions", "deadline_ms", "detail", "graph", "input", "key", "phase", "pivot_passed", "reason",
        "refusal", "result", "steps", "turned_at", "version", "view", "waiting",
    )  # fmt: skip

    def __init__(self, key: str) -> None:
        self.key = key
        self.graph: Graph | None = None
        self.version, self.input = 0, ""
        self.phase = Phase.NEW
        self.steps: dict[str, Progress] = {}
        self.conditions: dict[str, bool] = {}
        self.pivot_passed = self.cancelled = False
        self.deadline_ms = 0
        self.turned_at = self.reason = self.detail = self.result = ""
        self.refusal = NO_TEXT
        self.waiting: list[str] = []
        self.view: Any = None
        """The instance of the definition that builders run on."""

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.phase in (Phase.FORWARD, Phase.COMPENSATING)

    @property
    def pivot_is_sent(self) -> bool:
        """P3: whether the pivot may have happened, so that deadline and cancel wait."""
        graph = self.graph
        progress = self.steps.get(graph.pivot) if graph else None
        return self.pivot_passed or (progress is not None and progress.may_have_happened)

    def deadline_is_due(self, now_ms: int) -> bool:
        """Whether the deadline passed while it may still turn back."""
        return 0 < self.deadline_ms <= now_ms and self.phase is Phase.FORWARD and not self.pivot_is_sent

    def next_due_ms(self) -> int:
        """When something is due next; 0: never."""
        due = [progress.due_ms for progress in self.steps.values() if progress.due_ms]
        if self.deadline_ms and self.phase is Phase.FORWARD and not self.pivot_is_sent:
            due.append(self.deadline_ms)
        return min(due, default=0)


class Replies(dict[str, Any]):
    """What builders read: replies, signals, results of children and answers of conditions, decoded when first read."""

    def __init__(self, state: SagaState, graph: Graph) -> None:
        super().__init__()
        self._state, self._graph = state, graph

    def __missing__(self, name: str) -> Any:
        state, graph = self._state, self._graph
        if name in state.conditions:
            return state.conditions[name]
        progress = state.steps.get(name)
        leaf = graph.leaves.get(name)
        if progress is not None and progress.reply is not None and progress.stage is not Stage.REFUSED:
            value = self[name] = _read(graph, name, progress.reply)
            return value
        if progress is not None and progress.stage is Stage.UNANSWERED:
            return None
        if progress is None and leaf is not None and leaf.optional:
            return None
        raise ReplyNotThere(graph.saga.__name__, name)


def decoded(graph: Graph, text: Text) -> Message:
    """The message that stands in a history, brought up to the version that the definition uses.

    Raises:
        UnknownType: there is no way from the recorded version to that one.
        Undecodable: the text is none.
    """
    message = graph.types.get(text.type)
    steps = None if message is None else message.__upcasts__.path(text.version)
    if message is None or (steps is None and text.version != message.__type_version__):
        raise UnknownType(text.type, text.version)
    try:
        if text.version == message.__type_version__:
            return read_kept(message, text.json)
        fields: Mapping[str, Any] = json.loads(text.json)
        for step in steps or ():
            fields = step(fields, _json.load)
        return cast("Message", _json.load(message, fields))
    except Exception as error:  # steps are a user's: whatever they raise, the text is not what they take
        raise Undecodable(f"{text.type} in a history", error_reason(error)) from error


def decoded_reply(graph: Graph, text: Text) -> Message | None:
    """A reply as builders see it."""
    message = decoded(graph, text)
    return None if isinstance(message, Nothing) else message


def _read(graph: Graph, name: str, text: Text) -> Any:
    """What a builder sees of the leaf: its reply, or, of a child, its result."""
    message, leaf = decoded_reply(graph, text), graph.leaves[name]
    if not isinstance(leaf, Child) or not isinstance(message, SagaOutcome):
        return message
    output = leaf.saga.__graph__.output
    return None if output is None else read_kept(output, message.result)


def view_of(state: SagaState, graph: Graph) -> Any:
    """The instance of the definition that builders run on."""
    if state.view is None:
        view: Any = object.__new__(graph.saga)
        view.input = read_kept(graph.input, state.input)
        view._replies = Replies(state, graph)
        state.view = view
    return state.view
