"""The guard of a saga's steps at a processor (P2): undo before do, and a late do is refused.

A command that a saga sends says in its metadata's attributes which `saga` and `step` it belongs to and its `role`, "do"
or "undo". The stage of each step is kept by saga and step, in the state topic or with the events, without end: a late
do may arrive after any retention.
"""

from __future__ import annotations

from enum import Enum

from eventstore.processor.row_layout import RowLayout
from eventstore.state.port import Row, State
from schemas import Message, Metadata, Refusal

DONE, UNDONE = 1, 2
_STAGE = RowLayout("a saga's step", "B")


class Verdict(Enum):
    """What shall become of a command."""

    DECIDE = "decide"
    LATE_DO = "its undo was handled before"
    NOTHING_TO_UNDO = "it was never done"


def stage_key(attributes: dict[str, str]) -> bytes | None:
    """The row key of a saga's step; None if the attributes belong to none."""
    if "role" not in attributes or "saga" not in attributes or "step" not in attributes:
        return None
    return f"g{attributes['saga']}/{attributes['step']}".encode()


def stage_row(key: bytes, stage: int) -> Row:
    """The row that says how far a saga's step is."""
    return key, _STAGE.pack(stage)


def stage_of(metadata: Metadata) -> Row | None:
    """The row that an event's metadata stands for; None if it belongs to no saga's step."""
    key = stage_key(metadata.attributes)
    return None if key is None else stage_row(key, UNDONE if metadata.attributes["role"] == "undo" else DONE)


def decode_stage(value: bytes) -> int:
    """The stage in a row's value.

    Raises:
        RowDamaged: it holds none.
    """
    return _STAGE.whole(value)[0]


class Guard:
    """Stages of one partition: those in its state, and those of the batch under way."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._batch: dict[bytes, int] = {}

    def ask(self, metadata: Metadata) -> Verdict:
        """Whether the command may be decided on."""
        key = stage_key(metadata.attributes) if metadata.attributes else None
        if key is None:
            return Verdict.DECIDE
        stage = self._stage(key)
        if metadata.attributes["role"] == "undo":
            return Verdict.DECIDE if stage == DONE else Verdict.NOTHING_TO_UNDO
        return Verdict.LATE_DO if stage == UNDONE else Verdict.DECIDE

    def absorb(self, metadata: Metadata, answer: Message | None) -> list[Row]:
        """The rows of a command that was handled. A refused do was not done."""
        row = stage_of(metadata) if metadata.attributes else None
        if row is None or row[1] is None or isinstance(answer, Refusal):
            return []
        stage = max(row[1][1], self._stage(row[0]))
        self._batch[row[0]] = stage
        return [(row[0], bytes((1, stage)))]

    def forget_batch(self) -> None:
        """The batch ended: its stages are in the state, or it never happened."""
        self._batch.clear()

    def _stage(self, key: bytes) -> int:
        stage = self._batch.get(key)
        if stage is None:
            row = self._state.get(key)
            stage = 0 if row is None else decode_stage(row)
        return stage
