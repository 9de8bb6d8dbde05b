"""The loop of a worker: polls, hands records over to the handlers' thread, acknowledges what is done, commits.

Liveness does not depend on handlers: polling goes on while they run, with the partitions paused that have too much in
flight. In a revocation what runs is waited for inside the callback, to a deadline, and then dropped (rule W5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import structlog

from consumers.committing import COMMIT_SECONDS, Committing
from consumers.dead_letters import DeadLetters, companions, redrive_of
from consumers.delivery import Delivery
from consumers.dispatch import Dispatch
from consumers.handlers import Bound, bind
from consumers.intake import Intake
from consumers.rate import Bucket
from consumers.sending import Sending
from consumers.shares import Shares
from consumers.work import Work
from consumers.worker_metrics import worker_metrics
from eventstore.component import Host
from eventstore.log.errors import LogError, TopicMissing
from eventstore.log.port import GroupConsumer, Member, Producer
from eventstore.log.records import TopicPartition

if TYPE_CHECKING:
    from consumers.worker import Worker

POLL_RECORDS: Final = 500
PAUSED_POLL_SECONDS: Final = 0.005
JOIN_SECONDS: Final = 3.0
CANCEL_SECONDS: Final = 1.0
"""How long cancelled handlers have to end."""

log = structlog.get_logger(__name__)


class WorkerLoop:
    """Runs one worker in one process; a `Loop` and the `Listener` of its group."""

    def __init__(self, worker: Worker, host: Host) -> None:
        self.name = worker.name
        self.group = f"{host.service}.{worker.name}"
        self._worker, self._host, self._clock = worker, host, host.clock
        self._answering = worker.answering
        self._handlers: dict[str, Bound] = {}
        self._shares: Shares | None = None
        self._committing: Committing | None = None
        self._dispatch: Dispatch | None = None
        self._producer: Producer | None = None
        self._consumer: GroupConsumer | None = None
        self._intake: Intake | None = None
        self._member: Member | None = None
        self._failure: LogError | None = None
        self._opened_at = 0.0
        self._has_joined = self._is_stopped = False

    # Loop

    def open(self) -> None:
        """Make the topics beside the worker's own, start the handlers' thread, join the group.

        Raises:
            TopicMissing: a topic that it reads does not exist.
            LookupError: a handler asks for what nobody provides.
        """
        worker, host = self._worker, self._host
        self._handlers = self._bind()
        origins = self._prepare_topics()
        self._producer = Sending(host.log.producer())
        if self._answering is not None:
            self._answering.open(host, self.group, self._producer)
        for breaker in worker.breakers:
            breaker.use(host.clock)
        self._dispatch = Dispatch(self._work(self._producer))
        self._intake = Intake(self._handlers, host.serde, worker.order, worker.name)
        self._dispatch.start()
        self._opened_at = self._clock.monotonic()
        redrives = {redrive_of(topic, self.group): topic for topic in origins}
        topics = list(dict.fromkeys((*origins, *redrives)))
        self._consumer = host.log.group(self.group, topics, self)
        self._shares = Shares(
            self._consumer,
            host.log,
            self._producer,
            self._answering,
            {**{topic: topic for topic in origins}, **redrives},
        )
        self._committing = Committing(worker.name, self._consumer, self._shares, self._clock)

    def step(self, timeout: float) -> bool:
        """Poll once, hand over, acknowledge, commit if it is time."""
        consumer, dispatch, shares, intake = self._parts()
        self._raise_failure()
        did = self._reap()
        shares.take()
        shares.balance(self._worker.limits.records, self._worker.limits.bytes)
        batch = consumer.poll(POLL_RECORDS, self._patience(timeout))
        self._member = batch.member
        if batch.records:
            deliveries = intake.accept(batch.records, shares.owned)
            if deliveries:
                dispatch.submit(deliveries)
        else:
            shares.reach()
        dispatch.tick()
        did = self._reap() or did
        self._commits().if_due(self._member)
        self._raise_failure()
        return did or bool(batch.records)

    def is_ready(self) -> bool:
        """Whether all partitions that it was assigned are served; a member that gets none hears of no assignment."""
        if self._shares is None:
            return False
        has_joined = self._has_joined or self._clock.monotonic() - self._opened_at >= JOIN_SECONDS
        return has_joined and self._shares.are_served

    def is_settled(self) -> bool:
        """Whether all that its partitions hold is handled, apart from what waits for a later attempt."""
        shares, dispatch = self._shares, self._dispatch
        if shares is None or dispatch is None or not self.is_ready():
            return False
        if not shares.owned:
            return shares.are_others_done()
        return shares.are_read_to(shares.ends()) and shares.in_flight() <= dispatch.delayed()

    def metrics(self) -> Mapping[str, float]:
        """Counters and gauges, by Prometheus name."""
        shares, dispatch, intake = self._shares, self._dispatch, self._intake
        if shares is None or dispatch is None or intake is None:
            return {}
        return worker_metrics(shares, dispatch, intake, self._worker)

    def stop(self, deadline: float) -> None:
        """Finish what runs, start nothing more, commit, leave the group."""
        if self._is_stopped:
            return
        self._is_stopped = True
        try:
            self._drain_and_leave(deadline)
        finally:
            self._end(deadline)

    # Listener

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Partitions were added."""
        if self._shares is not None:
            self._shares.assigned(partitions)
        self._has_joined = True

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Partitions go to others: wait for what runs of them, commit."""
        self._release(partitions, self._clock.monotonic() + self._worker.limits.drain.total_seconds())

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Partitions are gone: cancel what runs of them."""
        _, dispatch, shares, _ = self._parts()
        going = shares.of(partitions)
        ended = dispatch.close(going)
        dispatch.drop(going)
        ended.wait(CANCEL_SECONDS)
        shares.forget(partitions)

    # Parts

    def _bind(self) -> dict[str, Bound]:
        bound = {handler: bind(handler, self._host) for handler in set(self._worker.handlers.values())}
        return {message.__type_name__: bound[handler] for message, handler in self._worker.handlers.items()}

    def _prepare_topics(self) -> list[str]:
        answered = tuple(self._answering.topics) if self._answering is not None else ()
        origins = list(dict.fromkeys((*self._worker.topics, *(topic.name for topic in answered))))
        self._host.log.create(answered)
        described = self._host.log.describe(origins)
        for topic in origins:
            if topic not in described:
                raise TopicMissing(topic)
        beside = (companions(topic, self.group, described[topic].partitions) for topic in origins)
        self._host.log.create([topic for topics in beside for topic in topics])
        return origins

    def _work(self, producer: Producer) -> Work:
        worker = self._worker
        return Work(
            name=worker.name,
            concurrency=worker.concurrency,
            serde=self._host.serde,
            clock=self._clock,
            dead_letters=DeadLetters(self.group, producer, self._clock, self._host.log.message_max_bytes),
            answering=worker.answering,
            bucket=Bucket(worker.rate) if worker.rate is not None else None,
            breakers=worker.breakers,
        )

    def _parts(self) -> tuple[GroupConsumer, Dispatch, Shares, Intake]:
        consumer, dispatch, shares, intake = self._consumer, self._dispatch, self._shares, self._intake
        if consumer is None or dispatch is None or shares is None or intake is None:
            raise RuntimeError(f"worker {self.name}: call open() first")
        return consumer, dispatch, shares, intake

    def _commits(self) -> Committing:
        assert self._committing is not None, "open() comes first"
        return self._committing

    def _patience(self, timeout: float) -> float:
        _, _, shares, _ = self._parts()
        if shares.has_new:
            return 0.0
        if shares.is_any_paused:
            return min(timeout, PAUSED_POLL_SECONDS)
        return min(timeout, COMMIT_SECONDS) if shares.is_any_changed else timeout

    def _raise_failure(self) -> None:
        failure = self._failure or (self._dispatch.outcomes.failure if self._dispatch is not None else None)
        if failure is not None:
            raise failure

    def _reap(self) -> bool:
        _, dispatch, _, _ = self._parts()
        if self._producer is not None:
            self._producer.poll()
        finished = dispatch.outcomes.finished
        did = bool(finished)
        while finished:
            _acknowledge(finished.popleft())
        return did

    # Endings

    def _release(self, partitions: Sequence[TopicPartition], deadline: float) -> None:
        _, dispatch, shares, _ = self._parts()
        going = shares.of(partitions)
        ended = dispatch.close(going)
        while not ended.wait(0.05) and self._clock.monotonic() < deadline:
            pass
        if not ended.is_set():
            log.warning("handlers_dropped", worker=self.name, partitions=len(going))
            dispatch.drop(going)
            ended.wait(CANCEL_SECONDS)
        try:
            self._acknowledge_all()
            self._commits().commit(going, None)
        except LogError as error:
            self._failure = error
        shares.forget(partitions)

    def _acknowledge_all(self) -> None:
        if self._producer is not None:
            self._producer.flush()
        self._reap()

    def _drain_and_leave(self, deadline: float) -> None:
        consumer = self._consumer
        if consumer is None:
            return
        try:
            self._drain(consumer, deadline)
        finally:
            consumer.close()

    def _drain(self, consumer: GroupConsumer, deadline: float) -> None:
        _, dispatch, shares, _ = self._parts()
        going = list(shares.owned.values())
        consumer.pause(share.tp for share in going)
        ended = dispatch.close(going)
        while not ended.is_set() and self._clock.monotonic() < deadline and dispatch.outcomes.failure is None:
            consumer.poll(1, 0.0)
            ended.wait(0.02)
        if not ended.is_set():
            dispatch.drop(going)
            ended.wait(CANCEL_SECONDS)
        self._acknowledge_all()
        self._commits().last(shares.owned.values, lambda: _keep_membership(consumer), deadline)

    def _end(self, deadline: float) -> None:
        if self._dispatch is not None:
            self._dispatch.stop(max(CANCEL_SECONDS, deadline - self._clock.monotonic()))
        if self._answering is not None and self._producer is not None:
            self._answering.close()
        if self._producer is not None:
            self._producer.close()


def _keep_membership(consumer: GroupConsumer) -> None:
    """The group may be moving, which has to end before it takes positions. All partitions are paused."""
    consumer.poll(1, 0.05)


def _acknowledge(delivery: Delivery) -> None:
    share = delivery.share
    share.acks.completed(delivery.record.offset)
    share.bytes -= delivery.size
