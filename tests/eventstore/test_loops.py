"""Loops on threads: failures are shown and survived, hanging ones left behind, messages between loops waited for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from threading import Event

import pytest

from eventstore import hosting
from eventstore.clock import SystemClock
from eventstore.component import Host, Plan
from eventstore.hosting import Hosting
from eventstore.log import open_log
from eventstore.loops import LoopThread
from eventstore.process_host import make_host
from eventstore.settling import busy_loop
from tests.waiting import eventually

HOPS = 100


class PanicError(BaseException):
    """What an engine written in another language may raise."""


class Hopper:
    """A loop that passes a token on until it has hopped so often."""

    def __init__(self, name: str, own: deque[int], other: deque[int]) -> None:
        self.name, self._own, self._other = name, own, other
        self.failure: BaseException | None = None
        self.hold: Event | None = None
        self.is_held = False
        self._nobody = Event()

    def open(self) -> None:
        """Nothing to open."""

    def step(self, timeout: float) -> bool:
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        if self.hold is not None:
            self.is_held = True
            self.hold.wait(60)
        if not self._own:
            self._nobody.wait(min(timeout, 0.0005))
            return False
        token = self._own.popleft()
        if token < HOPS:
            self._other.append(token + 1)
        return True

    def is_ready(self) -> bool:
        return True

    def is_settled(self) -> bool:
        return not self._own

    def metrics(self) -> Mapping[str, float]:
        return {}

    def stop(self, deadline: float) -> None:
        """Nothing to close."""


@pytest.fixture
def pair() -> Iterator[tuple[LoopThread, LoopThread, deque[int]]]:
    """Two loops that send each other what is put into the queue."""
    one, two = deque[int](), deque[int]()
    threads = tuple(
        LoopThread(lambda hopper=hopper: hopper, SystemClock())  # type: ignore[misc] # a default keeps the loop's value
        for hopper in (Hopper("one", one, two), Hopper("two", two, one))
    )
    for thread in threads:
        thread.start()
        assert thread.wait_opened(5)
    yield threads[0], threads[1], one
    for thread in threads:
        thread.ask_to_stop(0.0)
        assert thread.join(5)


def test_nothing_is_settled_while_a_message_is_on_its_way(pair: tuple[LoopThread, LoopThread, deque[int]]) -> None:
    """Each loop is idle most of the time; together they are when the token is at its end."""
    first, second, queue = pair
    for _ in range(5):
        before = first.worked + second.worked
        queue.append(0)

        eventually(lambda: busy_loop([first, second]) == "", 20)

        assert first.worked + second.worked == before + HOPS + 1


def test_a_panic_is_shown_and_survived(
    pair: tuple[LoopThread, LoopThread, deque[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a loop raises, its thread says so, and goes on after a pause."""
    monkeypatch.setattr("eventstore.loops.FIRST_PAUSE_SECONDS", 0.05)
    first, second, queue = pair
    hopper = first.loop
    assert isinstance(hopper, Hopper)

    hopper.failure = PanicError("out of memory")

    eventually(lambda: first.failures == 1)
    eventually(lambda: first.error is None and first.failure is None)
    queue.append(0)
    eventually(lambda: busy_loop([first, second]) == "")


def test_a_hanging_loop_is_left_behind(monkeypatch: pytest.MonkeyPatch, unique: Callable[[str], str]) -> None:
    """Stopping does not wait for it for ever, and says that what it uses must stay open."""
    monkeypatch.setattr(hosting, "GRACE_SECONDS", 0.2)
    log = open_log(f"memory://{unique('hanging')}")
    host, hopper, held = make_host("h", log), Hopper("one", deque(), deque()), Event()

    def make(_: Host) -> Hopper:
        return hopper

    running = Hosting(host, [Plan(name="hopper", loops=(make,))])
    running.start()
    hopper.hold = held
    eventually(lambda: hopper.is_held)

    assert running.stop(timedelta()) is False

    held.set()
    assert all(thread.join(10) for thread in running.threads)
    assert running.stop(timedelta()) is True
    host.close()
    log.close()
