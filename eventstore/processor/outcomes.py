"""What became of earlier inputs, by their id (K8): a repeat gets the stored reply."""

from __future__ import annotations

from eventstore.processor.rows import Outcome, decode_outcome, encode_outcome, outcome_key
from eventstore.state.port import Row, State


class Outcomes:
    """Outcomes of one partition: those in its state, and those of the batch under way."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._batch: dict[str, Outcome] = {}

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

    def expired(self, before_ms: int, after: bytes | None, limit: int) -> tuple[list[tuple[bytes, bool]], bytes | None]:
        """Outcomes older than `before_ms` among the `limit` rows after row key `after` (None: from the first one).

        Returns their row keys, each with whether the state topic has it, and the row key to go on after; None when
        there are no more rows.
        """
        rows = self._state.scan(b"d" if after is None else after + b"\0", b"e")
        looked_at = [row for _, row in zip(range(limit), rows, strict=False)]
        decoded = [(key, decode_outcome(value)) for key, value in looked_at]
        found = [(key, outcome.is_journaled) for key, outcome in decoded if outcome.time_ms < before_ms]
        return found, looked_at[-1][0] if len(looked_at) == limit else None
