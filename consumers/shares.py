"""The partitions that a worker was assigned: take them, hold them back, give them up.

A partition is served after its committed position was read, and after whatever answers for it was restored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from consumers.answering import Answering
from consumers.delivery import Share
from consumers.first_start import FirstStart
from eventstore.log.errors import LogError, PositionMissing, StaleMember
from eventstore.log.port import GroupConsumer, Log, Producer
from eventstore.log.records import TopicPartition

COMMITTED_SECONDS = 1.0
RESTORE_SECONDS = 0.05


class Shares:
    """What is owned. Used by the worker's loop; what any thread may call says so."""

    def __init__(
        self,
        consumer: GroupConsumer,
        log: Log,
        producer: Producer,
        answering: Answering | None,
        origins: Mapping[str, str],
    ) -> None:
        """`origins`: the topic that each subscribed topic's records come from; differs for redrive topics."""
        self._consumer, self._log, self._answering = consumer, log, answering
        self._first = FirstStart(consumer, log, producer)
        self._origins = origins
        self._new: list[TopicPartition] = []
        self._restoring: dict[TopicPartition, Share] = {}
        self._verified: dict[TopicPartition, tuple[int, int]] = {}
        self.owned: dict[TopicPartition, Share] = {}
        """The partitions that are served."""

    # Taking

    @property
    def has_new(self) -> bool:
        """Whether there is something to take."""
        return bool(self._new or self._restoring)

    @property
    def are_served(self) -> bool:
        """Whether all assigned partitions are served. Any thread."""
        return not self._new and not self._restoring

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Partitions were added."""
        self._new.extend(partitions)

    def take(self) -> None:
        """Go on with taking what was assigned.

        Raises:
            PositionMissing: the group's position is gone, or lies outside the log.
        """
        if self._new:
            with suppress(StaleMember):  # the group is moving: what is still ours is taken in the next turn
                self._take_new()
        for share in list(self._restoring.values()):
            if self._answering is None or self._answering.restore(share.tp, RESTORE_SECONDS):
                del self._restoring[share.tp]
                self._serve(share)

    def _take_new(self) -> None:
        new = list(self._new)
        try:
            committed = self._consumer.committed(new, COMMITTED_SECONDS)
        except TimeoutError:
            return
        starts = self._log.start_positions(new)
        ends = self._log.end_positions(new, isolation="uncommitted")
        for tp in new:
            position = committed[tp] or self._first.begin(tp, self._origins[tp.topic], starts[tp], ends[tp])
            self._check(tp, position.offset, starts[tp], ends[tp])
            share = Share(tp, position, self._origins[tp.topic])
            if self._answering is not None and tp.topic == self._origins[tp.topic]:
                self._answering.assigned(tp)
                self._restoring[tp] = share
            else:
                self._serve(share)
            self._new.remove(tp)

    def _serve(self, share: Share) -> None:
        self.owned[share.tp] = share
        self._consumer.start(share.tp, share.acks.next)

    def _check(self, tp: TopicPartition, offset: int, start: int, end: int) -> None:
        if start <= offset <= end:
            return
        why = (
            f"{offset} is before the first record that is left, {start}: records were deleted by retention before they "
            f"were handled. Set the position to {start} to go on with what is left"
            if offset < start
            else f"{offset} is beyond the end, {end}: the topic was made again. Set the position to {start}"
        )
        raise PositionMissing(self._consumer.group, tp.topic, tp.partition, why)

    # Holding back

    def balance(self, records: int, size: int) -> None:
        """Pause partitions that have more than their part in flight, resume those that have less than half of it."""
        owned = self.owned
        parts = len(owned) or 1
        records, size = max(1, records // parts), max(1, size // parts)
        for share in owned.values():
            if not share.is_paused and (len(share.acks) >= records or share.bytes >= size):
                share.is_paused = True
                self._consumer.pause([share.tp])
            elif share.is_paused and len(share.acks) * 2 <= records and share.bytes * 2 <= size:
                share.is_paused = False
                self._consumer.resume([share.tp])

    @property
    def is_any_paused(self) -> bool:
        """Whether some partition is held back."""
        return any(share.is_paused for share in self.owned.values())

    @property
    def is_any_changed(self) -> bool:
        """Whether there is, or soon will be, something to commit."""
        return any(share.acks.is_changed or len(share.acks) for share in self.owned.values())

    def touch(self) -> None:
        """Have all positions committed again."""
        for share in self.owned.values():
            share.acks.is_changed = True

    def reach(self) -> None:
        """Nothing was polled: see how far the partitions are read, past markers and what compaction took away."""
        for share in self.owned.values():
            share.reached = self._consumer.position(share.tp)

    # Giving up

    def of(self, partitions: Sequence[TopicPartition]) -> list[Share]:
        """The shares of those partitions that are served."""
        return [self.owned[tp] for tp in partitions if tp in self.owned]

    def forget(self, partitions: Sequence[TopicPartition]) -> None:
        """Partitions are gone."""
        for tp in partitions:
            known = self.owned.pop(tp, None) or self._restoring.pop(tp, None)
            if tp in self._new:
                self._new.remove(tp)
            if known is not None and self._answering is not None and tp.topic == self._origins[tp.topic]:
                self._answering.revoked(tp)

    # What any thread may ask

    def in_flight(self) -> int:
        """How many records are under way or wait for an attempt. Any thread."""
        return sum(len(share.acks) for share in list(self.owned.values()))

    def ends(self) -> dict[TopicPartition, int]:
        """The ends of the owned partitions. Any thread."""
        return self._log.end_positions(list(self.owned))

    def lag(self, ends: Mapping[TopicPartition, int]) -> int:
        """How many positions lie before these ends and are not acknowledged. Any thread."""
        shares = [(share, ends.get(share.tp, 0)) for share in list(self.owned.values())]
        return sum(max(0, end - max(share.acks.next, share.reached)) + len(share.acks) for share, end in shares)

    def are_read_to(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Whether all records before these ends were delivered. Any thread."""
        for tp, end in ends.items():
            share = self.owned.get(tp)
            if share is not None and share.acks.next < end and not self._is_empty(tp, share.acks.next, end):
                return False
        return True

    def are_others_done(self) -> bool:
        """Whether the group's members, whoever they are, have handled all there is. Any thread."""
        topics = self._log.describe(self._origins)
        places = [TopicPartition(name, at) for name, topic in topics.items() for at in range(topic.partitions)]
        ends = self._log.end_positions(places)
        committed = self._log.group_positions(self._consumer.group, places, stable=False)
        reached = {place: position.offset if position is not None else 0 for place, position in committed.items()}
        return all(reached[place] >= end or self._is_empty(place, reached[place], end) for place, end in ends.items())

    def _is_empty(self, tp: TopicPartition, begin: int, end: int) -> bool:
        """Whether only transaction markers, aborted or compacted records lie between."""
        if self._verified.get(tp) == (begin, end):
            return True
        try:
            reader = self._log.reader({tp: begin})
        except LogError:
            return False
        try:
            while reader.position(tp) < end:
                if reader.read(1, 0.5):
                    return False
            self._verified[tp] = begin, end
            return True
        finally:
            reader.close()
