"""What became of earlier inputs, by their id (K8): a repeat gets the stored reply."""

from __future__ import annotations

from eventstore.processor.rows import Outcome, decode_outcome, encode_outcome, outcome_key
from eventstore.processor.topics import DEDUPLICATION_WINDOW_MS
from eventstore.state.port import Row, State

SWEPT_AT_ONCE = 200
"""Rows of outcomes that are looked at in one batch, to find those that no repeat can ask for any more."""
SWEEP_AGAIN_MS = 60 * 60 * 1000


class Outcomes:
    """Outcomes of one partition: those in its state, and those of the batch under way."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._batch: dict[str, Outcome] = {}
        self._swept: bytes | None = None
        self._sweep_ms = 0

    def find(self, input_id: str) -> Outcome | None:
        """The outcome of an input that was handled before, in this batch or earlier."""
        outcome = self._batch.get(input_id)
        if outcome is None:
            value = self._state.get(outcome_key(input_id))
            outcome = None if value is None else decode_outcome(value)
        return outcome

    def remember(self, input_id: str, outcome: Outcome) -> Row:
        """Note an outcome of the batch; returns its row."""
        self._batch[input_id] = outcome
        return outcome_key(input_id), encode_outcome(outcome)

    def forget_batch(self) -> None:
        """The batch ended: its outcomes are in the state, or it never happened."""
        self._batch.clear()

    def expired(self, now_ms: int) -> list[tuple[bytes, bool]]:
        """Some of the outcomes that no repeat can ask for any more (K1); each call looks further on.

        Returns their row keys, each with whether the state topic has it.
        """
        if now_ms < self._sweep_ms:
            return []
        rows = self._state.scan(b"d" if self._swept is None else self._swept + b"\0", b"e")
        looked_at = [row for _, row in zip(range(SWEPT_AT_ONCE), rows, strict=False)]
        self._swept = looked_at[-1][0] if len(looked_at) == SWEPT_AT_ONCE else None
        if self._swept is None:
            self._sweep_ms = now_ms + SWEEP_AGAIN_MS
        before_ms = now_ms - DEDUPLICATION_WINDOW_MS
        decoded = [(key, decode_outcome(value)) for key, value in looked_at]
        return [(key, outcome.is_journaled) for key, outcome in decoded if outcome.time_ms < before_ms]
