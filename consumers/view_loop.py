"""The loop of a view: one member of the group `<service>.<view>.v<version>`, which only says who owns which partitions.

The view's first topic is subscribed. Its other topics are *followed*: the owner of partition p reads partition p of
each with a reader of its own, so no assignor has to keep them together. The position in the state rules; the group's
position is only shown (`consumers.showing`).

Taking a partition: open the state, read what is missing with another reader in slices while polling goes on, then
deliver from there. A view that is re-keyed waits until its sources were copied up to where they were then, too
(`consumers.copying`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import structlog

from consumers.copying import copying
from consumers.restoring import Restoring, fits, handle
from consumers.showing import Showing
from consumers.source import common_count
from consumers.view_errors import ViewStopped
from consumers.view_partition import Dispatch, ViewPartition
from eventstore.component import Host
from eventstore.log.errors import LogError
from eventstore.log.port import GroupConsumer, Member, Reader
from eventstore.log.records import TopicPartition
from eventstore.processor.served import EMPTY_SECONDS

if TYPE_CHECKING:
    from consumers.view import ViewDefinition

POLL_RECORDS: Final = 1_000
SLICE_SECONDS: Final = 0.05
FLUSH_SECONDS: Final = 0.05
"""The oldest change of a served partition that is not written yet; with nothing left to read it is written at once."""
FOLLOW_SECONDS: Final = 0.005

log = structlog.get_logger(__name__)


class ViewLoop:
    """Runs one view in one process; a `Loop` and the `Listener` of its group."""

    def __init__(self, definition: ViewDefinition, host: Host) -> None:
        self.definition, self.name = definition, definition.full_name
        self.group = f"{host.service}.{definition.full_name}"
        self._host, self._clock, self._topics = host, host.clock, definition.topics
        self._dispatch = Dispatch(definition, host.serde)
        self._identity, self.partitions = "", 0
        self._owned: dict[int, ViewPartition] = {}
        self._taking: list[int] = []
        self._restoring: list[Restoring] = []
        self._follower: Reader | None = None
        self._consumer: GroupConsumer | None = None
        self._member: Member | None = None
        self._joined_at = float("inf")
        self._showing = Showing(host, definition)
        self._flushed_at = self._clock.monotonic()

    # Loop

    def open(self) -> None:
        """Join the group.

        Raises:
            TopicMissing: a topic does not exist.
            NotCopartitioned: the topics have different partition counts.
        """
        topics = self._host.log.describe(self._topics)
        self.partitions = common_count(self.definition.full_name, self._topics, topics)
        ids = " ".join(f"{name}={topics[name].id}" for name in self._topics)
        self._identity = f"view 1 {self.definition.full_name} {ids} {self.definition.layout}"
        self._consumer = self._host.log.group(self.group, self._topics[:1], self)

    def step(self, timeout: float) -> bool:
        consumer = self._consumer
        assert consumer is not None, "open() comes first"
        self._take_one()
        worked = self._restore(consumer)
        is_busy = (
            worked or bool(self._taking or self._restoring) or any(one.has_changes for one in self._live().values())
        )
        if self._follower is not None:
            worked |= self._follow(self._follower, 0.0 if is_busy else min(timeout, FOLLOW_SECONDS))
            timeout = min(timeout, FOLLOW_SECONDS)
        batch = consumer.poll(POLL_RECORDS, 0.0 if is_busy else timeout)
        self._member = batch.member
        if batch.member is not None:
            self._joined_at = min(self._joined_at, self._clock.monotonic())
        handle(self._live(), batch.records)
        for one in self._owned.values():
            one.state.check()
        self._note_stops(consumer)
        if not batch.records and not is_busy:
            self._pass_markers(consumer)
        self._flush(must=not (batch.records or worked))
        if self._showing.is_due():
            self._show()
        return worked or bool(batch.records)

    def is_ready(self) -> bool:
        owned = list(self._owned.values())  # a member is known to be one before it hears what it is assigned
        is_told = bool(owned) or self._clock.monotonic() - self._joined_at > EMPTY_SECONDS
        return is_told and not self._taking and all(one.is_live for one in owned)

    def progress(self) -> str:
        """What is left before its partitions are served; empty while that is not known. Any thread."""
        uncopied, left = self._uncopied(), sum(one.left for one in self._restoring)
        if uncopied:
            return f"its sources are copied first: {uncopied:,} of their records are left, over all processes"
        return f"its rows are made: {left:,} records are left" if left else ""

    def problem(self) -> ViewStopped | None:
        """Why a partition stands still, if one does."""
        return next((one.error for one in list(self._owned.values()) if one.error is not None), None)

    def is_settled(self) -> bool:
        if not self.is_ready():
            return False
        owned = list(self._owned.values())
        places = {TopicPartition(topic, one.number): one for one in owned for topic in self._topics}
        ends = self._host.log.end_positions(places, isolation="uncommitted")
        return all(one.position(at.topic) >= ends[at] for at, one in places.items())

    def metrics(self) -> Mapping[str, float]:
        owned = list(self._owned.values())
        samples = {
            "view_events_total": sum(one.applied for one in owned),
            "view_skipped_total": sum(one.skipped for one in owned),
            "view_rows_written_total": sum(one.written for one in owned),
            "view_partitions": len(owned),
            "view_partitions_live": sum(one.is_live for one in owned),
            "view_partitions_stopped": sum(one.error is not None for one in owned),
        }
        if self.definition.by is not None:
            samples["view_uncopied"] = self._uncopied()
        try:
            samples["queue_length"] = self._lag(owned)
        except LogError:
            samples["log_unreachable"] = 1
        return {name: float(value) for name, value in samples.items()}

    def stop(self, deadline: float) -> None:
        if self._consumer is None:
            return
        consumer, self._consumer = self._consumer, None
        try:
            for partition in self._owned.values():
                partition.flush()
        finally:
            consumer.close()
            self.lost([TopicPartition(self._topics[0], number) for number in (*self._owned, *self._taking)])

    # Listener

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self._taking += [at.partition for at in partitions if at.partition not in self._owned]

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.lost(partitions)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        for at in partitions:
            self._showing.forget(at.partition)
            if at.partition in self._taking:
                self._taking.remove(at.partition)
            for restoring in self._restoring:
                restoring.forget(at.partition)
            partition = self._owned.pop(at.partition, None)
            if partition is not None:
                partition.close()
        for restoring in [one for one in self._restoring if not one.numbers]:
            restoring.close()
            self._restoring.remove(restoring)
        self._refollow()

    # Readers of this process

    def partition(self, number: int) -> ViewPartition | None:
        """A partition that this process owns; None if it does not. Any thread."""
        return self._owned.get(number)

    # Taking partitions

    def _take_one(self) -> None:
        """Open the state of the next taken partition; after the last one, look where the log ends, and restore."""
        if not self._taking:
            return
        number = self._taking[0]
        if number not in self._owned:
            self._owned[number] = self._opened(number)
        self._taking.remove(number)
        if not self._taking:
            self._begin([one for one in self._owned.values() if not one.is_live and one.error is None])

    def _begin(self, taken: Sequence[ViewPartition]) -> None:
        under_way = {number for restoring in self._restoring for number in restoring.numbers}
        fresh = {one.number: one for one in taken if one.number not in under_way}
        places = [TopicPartition(topic, number) for number in fresh for topic in self._topics]
        starts, ends = self._host.log.start_positions(places), self._host.log.end_positions(places)
        for number, partition in list(fresh.items()):
            if not fits(partition, starts, ends):
                fresh[number] = self._owned[number] = self._opened_anew(partition)
        if fresh:
            awaited = copying(self.definition, self._host)
            self._restoring.append(Restoring(self._host.log, self._clock, fresh, ends, awaited))

    def _opened(self, number: int) -> ViewPartition:
        state = self._host.state.open(self._state_name(number), self._identity)
        return ViewPartition(
            self.definition, self._dispatch, self._host.serde, number=number, partitions=self.partitions, state=state
        )

    def _opened_anew(self, partition: ViewPartition) -> ViewPartition:
        log.warning(
            "view_state_discarded", view=self.name, partition=partition.number, positions=dict(partition.positions)
        )
        partition.close()
        self._host.state.discard(self._state_name(partition.number))
        return self._opened(partition.number)

    def _state_name(self, number: int) -> str:
        return f"{self.definition.full_name}/{number}"

    def _restore(self, consumer: GroupConsumer) -> bool:
        if not self._restoring:
            return False
        restoring = self._restoring[0]
        done = restoring.work(SLICE_SECONDS)
        for partition in done:
            if partition.error is None:
                at = TopicPartition(self._topics[0], partition.number)
                consumer.start(at, partition.positions[at.topic])
                partition.is_live = True
                log.info("view_partition_live", view=self.name, partition=partition.number)
        self._restoring = [*self._restoring[1:], *([restoring] if restoring.numbers else [])]
        if not restoring.numbers:
            self._refollow()
        if done:
            self._show()
        return True

    # Handling

    def _live(self) -> dict[int, ViewPartition]:
        return {number: one for number, one in self._owned.items() if one.is_live}

    def _note_stops(self, consumer: GroupConsumer) -> None:
        stopped = [one for one in self._owned.values() if one.error is not None and one.is_live]
        for partition in stopped:
            partition.is_live = False
            consumer.pause([TopicPartition(self._topics[0], partition.number)])

    def _pass_markers(self, consumer: GroupConsumer) -> None:
        lead = self._topics[0]
        for partition in self._live().values():
            partition.advance(lead, consumer.position(TopicPartition(lead, partition.number)))

    def _follow(self, follower: Reader, timeout: float) -> bool:
        records = follower.read(POLL_RECORDS, timeout)
        live = self._live()
        handle(live, records)
        for partition in live.values():
            for topic in self._topics[1:]:
                partition.advance(topic, follower.position(TopicPartition(topic, partition.number)))
        return bool(records)

    def _refollow(self) -> None:
        """Read the other topics of exactly the live partitions, from their positions."""
        if self._follower is not None:
            self._follower.close()
            self._follower = None
        places = [
            (one, TopicPartition(topic, one.number)) for one in self._live().values() for topic in self._topics[1:]
        ]
        if places and self._consumer is not None:
            self._follower = self._host.log.reader({at: one.positions[at.topic] for one, at in places})

    def _flush(self, *, must: bool) -> None:
        now = self._clock.monotonic()
        if not must and now - self._flushed_at < FLUSH_SECONDS:
            return
        self._flushed_at = now
        for partition in self._live().values():
            partition.flush()

    def _show(self) -> None:
        if self._consumer is not None and self._member is not None:
            opened = [one for number, one in self._owned.items() if number not in self._taking]
            for one in opened:
                one.flush()  # those that are being made, too: it shows how far they are, and a kill costs a second
            self._showing.show(opened, self._consumer, self._member)

    def _uncopied(self) -> int:
        return max((one.uncopied for one in self._restoring), default=0)

    def _lag(self, owned: Sequence[ViewPartition]) -> int:
        places = {TopicPartition(topic, one.number): one for one in owned for topic in self._topics}
        ends = self._host.log.end_positions(places)
        return sum(max(0, ends[at] - one.position(at.topic)) for at, one in places.items())
