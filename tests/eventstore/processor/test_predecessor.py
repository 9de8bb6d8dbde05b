"""What is done about positions that stay pending (K5)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from eventstore.clock import ManualClock
from eventstore.log.records import Position, TopicPartition
from eventstore.processor.predecessor import AGAIN_SECONDS, HANGS_SECONDS, Predecessor, commit_metadata
from tests.waiting import eventually

INBOX = TopicPartition("shop.inbox", 0)


class PendingLog:
    """A log whose position of the inbox never becomes stable; it was sent by the unit `shop.1`."""

    def __init__(self) -> None:
        self.asked = 0
        self.fenced: list[str] = []

    def group_positions(
        self, group: str, partitions: Sequence[TopicPartition], *, stable: bool = True, timeout: float = 1.0
    ) -> dict[TopicPartition, Position | None]:
        """Pending, unless somebody asks for what is."""
        if stable:
            raise TimeoutError
        self.asked += 1
        return {at: Position(3, commit_metadata("shop.1", "")) for at in partitions}

    def transactor(self, transactional_id: str) -> Any:
        """Takes the id, and with it the open transaction's."""
        self.fenced.append(transactional_id)
        return SimpleNamespace(close=lambda: None)


class AskedAgain:
    """A predecessor, and the time that goes by while it is asked for."""

    def __init__(self, log: PendingLog) -> None:
        self.log, self.clock = log, ManualClock()
        host: Any = SimpleNamespace(log=log, clock=self.clock)
        self._predecessor = Predecessor(host, "shop", commit_metadata("shop.0", ""))

    def after(self, seconds: float) -> None:
        """Look until another answer came, that time later."""
        self.clock.advance(timedelta(seconds=seconds))
        before = self.log.asked

        def came() -> bool:
            assert self._predecessor.look([INBOX]) is None
            return self.log.asked > before

        eventually(came)


@pytest.fixture
def asked() -> AskedAgain:
    """Over a log that never answers."""
    return AskedAgain(PendingLog())


def test_whoever_holds_positions_open_is_fenced_once(asked: AskedAgain) -> None:
    """K5: by its transactional id, after a second; taking it again would end what its next holder does."""
    asked.after(1.0)
    asked.after(AGAIN_SECONDS)

    eventually(lambda: asked.log.fenced == ["shop.1"])


def test_a_transaction_that_nothing_ends_is_told(asked: AskedAgain) -> None:
    """KAFKA-20734: a broker may forget to tell partitions of a transaction's end; an operator learns it, once."""
    with capture_logs() as said:
        asked.after(1.0)
        asked.after(HANGS_SECONDS - 2.0)
        assert not [line for line in said if line["event"] == "transaction_hangs"]
        asked.after(AGAIN_SECONDS)
        asked.after(AGAIN_SECONDS)
        asked.after(AGAIN_SECONDS)

    (told,) = [line for line in said if line["event"] == "transaction_hangs"]
    assert (told["transactional_ids"], told["partitions"]) == (["shop.1"], ["shop.inbox/0"])
