"""The seam where a worker's records get answers: what `sagas.Participant` adds to a worker.

A worker with an `Answering` subscribes more topics, asks it before each attempt, and hands it what handlers return
and how they finally failed. Each answer is sent by `producer.send`; the futures of those sends are returned as
`Waits`, and the record is acknowledged only when the log has all of them. A send that fails later stops the worker
(the record is run again by whoever takes the partition), so nothing is acknowledged unanswered. The lane goes on
meanwhile: records of one key are answered in order, because one producer keeps the order of each partition.

Per record, on the handlers' thread (its asyncio loop: do not block)::

    decode ── before(delivery) ──┬─ waits ────────────────────────────────► acknowledge
                                 └─ None ── handler ─┬─ value ── answered ─► acknowledge
                                                     └─ final failure ── failed ─┬─ waits ─► acknowledge
                                                                                 └─ None ── dead letter

Per partition, on the loop's thread: `assigned`, then `restore` until it returns True, then records; at last
`revoked`. Records of a partition are delivered only between the two, and after a revocation the others' owner starts
with `assigned`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol, TypeAlias

from consumers.delivery import Delivery
from eventstore.component import Host
from eventstore.log.port import Producer
from eventstore.log.records import Topic, TopicPartition
from schemas import Message

Waits: TypeAlias = Sequence[Future[int]]
"""What the log must have before a record is acknowledged; empty: nothing."""


class Answering(Protocol):
    """What is told of a worker's records.

    One instance per worker. `open` comes first; after a failure the worker closes it and opens it again.
    """

    @property
    def topics(self) -> Sequence[Topic]:
        """What the worker subscribes besides its own, such as `hotels.inbox`; made when the worker starts."""
        ...

    @property
    def messages(self) -> Sequence[type[Message]]:
        """What is sent besides the handlers' types: registered when the service starts."""
        ...

    def open(self, host: Host, group: str, producer: Producer) -> None:
        """The worker starts.

        `producer` is idempotent, safe to `send` from any thread, flushed and closed by the worker. Its futures are
        resolved by the worker's loop, once per step.
        """
        ...

    def assigned(self, partition: TopicPartition) -> None:
        """A partition was taken; nothing of it is delivered before `restore` returned True."""
        ...

    def restore(self, partition: TopicPartition, seconds: float) -> bool:
        """Go on, for up to so many seconds, to fetch what is known of the partition; returns whether all is there."""
        ...

    def revoked(self, partition: TopicPartition) -> None:
        """The partition is about to go, or gone: nothing of it runs any more."""
        ...

    def before(self, delivery: Delivery) -> Waits | None:
        """Before the handler's every attempt, the message decoded.

        None lets it run, waits mean that it was answered here.
        """
        ...

    def answered(self, delivery: Delivery, value: object) -> Waits:
        """The handler returned `value`. What this raises is a failure of the attempt."""
        ...

    def failed(self, delivery: Delivery, error: BaseException) -> Waits | None:
        """No attempt is left, or none was possible: answer that, or return None for a dead letter.

        `delivery.message` is None if it could not be decoded or is of no handled type.
        """
        ...

    def close(self) -> None:
        """The worker stopped."""
        ...
