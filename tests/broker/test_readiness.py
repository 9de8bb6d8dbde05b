"""Waiting for a cluster ends when it is ready, whatever it said while it started."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from sagalog.broker import readiness


def test_a_client_that_fell_silent_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """librdkafka's client asks nobody any more once a broker that starts has named none."""
    clients: list[_Client] = []

    def make(bootstrap: str) -> Any:
        clients.append(_Client(is_silent=not clients))
        return clients[-1]

    monkeypatch.setattr(readiness, "_client", make)
    monkeypatch.setattr(readiness, "_CLIENT_S", 0.02)

    assert readiness.wait_until_ready("127.0.0.1:1", {1}, timeout_s=10)
    assert len(clients) == 2
    assert clients[0].asked > 1


def test_nobody_waits_for_what_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that is gone will not answer."""

    def make(bootstrap: str) -> Any:
        return _Client(is_silent=True)

    monkeypatch.setattr(readiness, "_client", make)

    assert not readiness.wait_until_ready("127.0.0.1:1", {1}, timeout_s=60, alive=lambda: False)


class _Client:
    def __init__(self, *, is_silent: bool) -> None:
        self._is_silent = is_silent
        self.asked = 0

    def list_topics(self, timeout: float) -> Any:
        self.asked += 1
        if self._is_silent:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return SimpleNamespace(brokers={1: None})
