"""The queue of local calls: no call is lost, whoever puts and takes at the same time."""

from __future__ import annotations

import threading
import time

from eventstore.processor.calls import Calls
from eventstore.processor.inputs import Call
from schemas import Metadata, Nothing


def call(number: int) -> Call:
    return Call("counter", "a", 0, Nothing(), Metadata(id=str(number)), lambda _: None)


def test_calls_come_out_in_their_order_and_what_is_put_back_first() -> None:
    """K10: those of one caller that awaits each are decided in order anyway; a retried batch is the same batch."""
    calls = Calls()
    for number in range(5):
        assert calls.put(call(number))

    taken = calls.take(3)
    calls.put_back(taken)

    assert [each.metadata.id for each in calls.take(10)] == ["0", "1", "2", "3", "4"]
    assert calls.take(1) == []


def test_whoever_waits_for_a_number_of_calls_is_woken_by_the_last_of_them() -> None:
    """Not earlier, and not by a time-out."""
    calls, found = Calls(), list[int]()

    def wait() -> None:
        began = time.monotonic()
        calls.wait(30.0, count=100)
        found.append(len(calls.take(1_000)) if time.monotonic() - began < 25 else -1)

    thread = threading.Thread(target=wait)
    thread.start()
    for number in range(100):
        calls.put(call(number))
    thread.join(30)

    assert found == [100]


def test_every_call_is_taken_or_returned_however_the_queue_is_closed() -> None:
    """K10: each call is answered, passed on or refused, and none twice."""
    for _ in range(50):
        calls, refused, start = Calls(), list[Call](), threading.Barrier(4)
        threads = [threading.Thread(target=_put, args=(calls, first, refused, start)) for first in (0, 100, 200)]
        for thread in threads:
            thread.start()
        start.wait()
        done = [*calls.take(20), *calls.close()]
        for thread in threads:
            thread.join()

        numbers = [int(each.metadata.id) for each in [*done, *refused]]
        assert sorted(numbers) == list(range(300))
        assert not calls


def _put(calls: Calls, first: int, refused: list[Call], start: threading.Barrier) -> None:
    start.wait()
    for each in map(call, range(first, first + 100)):
        refused += [] if calls.put(each) else [each]
