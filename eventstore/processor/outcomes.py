"""What became of earlier inputs, by their id (K8): a repeat gets the stored reply."""

from __future__ import annotations

from collections.abc import Iterator

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

    def remember(self, input_id: str, step: int, time_ms: int, answer: bytes | None) -> Row:
        """Note an outcome of the batch; returns its row."""
        outcome = self._batch[input_id] = Outcome(step, time_ms, answer)
        return outcome_key(input_id), encode_outcome(outcome)

    def forget_batch(self) -> None:
        """The batch ended: its outcomes are in the state, or it never happened."""
        self._batch.clear()

    def expired(self, before_ms: int, after: bytes, limit: int) -> tuple[list[bytes], bytes | None]:
        """Row keys of outcomes older than `before_ms`, looking at `limit` rows after row key `after`.

        Returns them, and the row key to go on after; None when there are no more rows.
        """
        found: list[bytes] = []
        rows = self._state.scan(max(after, b"d") + b"\0", b"e")
        last = None
        for last in _take(rows, limit):
            if decode_outcome(last[1]).time_ms < before_ms:
                found.append(last[0])
        return found, None if last is None else last[0]


def _take(rows: Iterator[tuple[bytes, bytes]], limit: int) -> Iterator[tuple[bytes, bytes]]:
    for _, row in zip(range(limit), rows, strict=False):
        yield row
