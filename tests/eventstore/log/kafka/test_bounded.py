"""Calls that librdkafka does not return from are left behind, and what they were part of goes on without them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from eventstore.log.errors import OutcomeUnknown
from eventstore.log.kafka import KafkaLog, bounded
from eventstore.log.kafka.bounded import BoundedCalls
from eventstore.log.records import Position, TopicPartition
from tests.eventstore.log.kafka.members import Members, settle
from tests.waiting import eventually


@pytest.fixture
def let_go() -> Iterator[threading.Event]:
    """Set to let what hangs go on; at the latest at the end."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "GRACE_SECONDS", 0.1)


def test_a_call_gives_what_it_raises() -> None:
    """An error of the call is that of `run`; the next call is made all the same."""
    calls, made = BoundedCalls("test"), list[int]()

    with pytest.raises(ZeroDivisionError):
        calls.run(lambda: 1 // 0, 5)
    calls.run(lambda: made.append(1), 5)
    calls.close()

    assert made == [1]


def test_what_is_done_meanwhile_is_done_before_the_call_has_ended(let_go: threading.Event) -> None:
    """The call waits for it: if both did not run side by side, it would come last."""
    calls, ended = BoundedCalls("test"), list[str]()

    def call() -> None:
        let_go.wait(10)
        ended.append("call")

    def meanwhile() -> None:
        ended.append("meanwhile")
        let_go.set()

    calls.run(call, 20, meanwhile)
    calls.close()

    assert ended == ["meanwhile", "call"]


def test_a_call_ends_before_what_failed_meanwhile_is_raised() -> None:
    """Whoever goes on may use the client again; and if the call fails too, that is what counts."""
    calls, ended, under_way = BoundedCalls("test"), list[str](), threading.Event()

    def call() -> None:
        under_way.wait(0.2)
        ended.append("call")

    with pytest.raises(ZeroDivisionError):
        calls.run(call, 5, lambda: 1 // 0)
    assert ended == ["call"]
    with pytest.raises(KeyError):
        calls.run(lambda: dict[int, int]()[0], 5, lambda: 1 // 0)
    calls.close()


def test_a_call_that_does_not_return_is_left_behind(let_go: threading.Event) -> None:
    """`run` is late by the grace at most, and the thread ends when the call does."""
    calls = BoundedCalls("stuck call")

    with pytest.raises(TimeoutError):
        calls.run(let_go.wait, 0.0)
    assert "stuck call" in {thread.name for thread in threading.enumerate()}
    let_go.set()

    eventually(lambda: "stuck call" not in {thread.name for thread in threading.enumerate()})


class Stuck:
    """A client of which one call never comes back."""

    def __init__(self, client: Any, call: str, let_go: threading.Event) -> None:
        self._client, self._call, self._let_go = client, call, let_go

    def __getattr__(self, name: str) -> Any:
        return self._hang if name == self._call else getattr(self._client, name)

    def _hang(self, *_: object) -> None:
        self._let_go.wait()


@pytest.mark.parametrize("call", ["send_offsets_to_transaction", "commit_transaction"])
def test_a_commit_that_hangs_has_an_unknown_outcome(
    log: KafkaLog,
    proxied: KafkaLog,
    members: Members,
    made: Sequence[TopicPartition],
    unique: Callable[[str], str],
    let_go: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
) -> None:
    """K6: whoever waits for it learns so in bounded time, and a new transactor under the id ends what it left open."""
    consumer, id_ = members.join(log, made[0].topic), unique("tx")
    settle({consumer: 2})
    hanging: Any = proxied.transactor(id_)
    monkeypatch.setattr(hanging, "_client", Stuck(hanging._client, call, let_go))
    hanging.begin()
    hanging.produce(*made[0], b"key", b"lost")

    with pytest.raises(OutcomeUnknown):
        hanging.commit({made[0]: Position(1)}, consumer.poll(1, 0.0).member)
    hanging.close()
    successor = log.transactor(id_)
    successor.begin()
    successor.produce(*made[0], b"key", b"kept")
    successor.commit({made[0]: Position(2)}, consumer.poll(1, 0.0).member)

    assert log.group_positions(members.group, made[:1]) == {made[0]: Position(2)}
    successor.close()
