"""Commit a member's positions within a bounded time.

Librdkafka's commit has no time-out. A request that was never sent is tried again for ever, so of a client that goes
deaf meanwhile (`hearing`) the call never returns. So it runs on a thread of its own. Amid a callback it cannot: the
Python client then serves the thread that polls, and any other waits until the callback has ended. There the
coordinator is asked first for something that has a time-out, which leaves the moment between the two.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TypeAlias

from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as Place

Places: TypeAlias = Sequence[Place]


def commit(consumer: Consumer, places: Places, timeout: float) -> Places:
    """Commit these; returns them with what became of each. Not to be called amid a callback.

    Raises:
        KafkaException: it was refused, or nobody answers.
        TimeoutError: it did not return in `timeout` seconds. The consumer serves no other call any more, and is closed
            when this one returns after all: leave it.
    """
    done: Future[Places] = Future()
    threading.Thread(target=_run, args=(consumer, places, done), name="commit of positions", daemon=True).start()
    try:
        return done.result(timeout)
    except FutureTimeout:
        done.add_done_callback(lambda _: consumer.close())
        raise TimeoutError from None


def commit_amid_callback(consumer: Consumer, places: Places, timeout: float) -> Places:
    """As `commit`, on the thread that polls, amid a callback.

    Raises:
        KafkaException: it was refused, or nobody answered within `timeout` seconds.
    """
    consumer.committed(list(places[:1]), timeout)
    return _commit(consumer, places)


def _commit(consumer: Consumer, places: Places) -> Places:
    return consumer.commit(offsets=list(places), asynchronous=False) or []


def _run(consumer: Consumer, places: Places, done: Future[Places]) -> None:
    try:
        done.set_result(_commit(consumer, places))
    except BaseException as error:  # noqa: BLE001 - whoever waits for the commit gets it
        done.set_exception(error)
