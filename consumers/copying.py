"""How much of its sources the copy of a re-keyed view holds, whoever copies it (rule V3).

The copy of a new version begins empty, so its own end says nothing. A partition of the view is done when

1. the group that re-keys has passed, in all partitions of all sources, the ends that were seen when the partition was
   taken. Its positions are committed in one transaction with the copies, and show only when that is decided;
2. it has then read its partition of the copy to the *uncommitted* end. The position may be known before the marker of
   the same transaction has reached the copy (K4), and until it has, the committed end lies before those records.

Any partition of a source may have events for any partition of the copy: so all are waited for, also those that other
processes re-key. A source partition that holds nothing is not waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import structlog

from consumers.rekeying import rekeying_group
from consumers.source import topics_of
from eventstore.clock import Clock
from eventstore.component import Host
from eventstore.log.errors import LogError, TopicMissing
from eventstore.log.port import Log
from eventstore.log.records import TopicPartition

if TYPE_CHECKING:
    from consumers.view import ViewDefinition

LOOK_SECONDS: Final = 0.05
POSITIONS_SECONDS: Final = 1.0

log = structlog.get_logger(__name__)


class Copying:
    """What has to be in the copy before partitions that were taken now may be served."""

    def __init__(self, log_: Log, clock: Clock, group: str, topics: Sequence[str]) -> None:
        """`group`: the one that re-keys these topics.

        Raises:
            TopicMissing: one of the topics does not exist.
        """
        self._log, self._clock, self._group = log_, clock, group
        described = log_.describe(topics)
        for topic in topics:
            if topic not in described:
                raise TopicMissing(topic)
        places = [TopicPartition(topic, number) for topic in topics for number in range(described[topic].partitions)]
        self._starts, ends = log_.start_positions(places), log_.end_positions(places)
        self._ends = {at: end for at, end in ends.items() if end > self._starts[at]}
        self._look_at = clock.monotonic()
        self.left = sum(end - self._starts[at] for at, end in self._ends.items())
        """How many records of the sources are before those ends, and not copied, as of the last look."""

    def is_done(self) -> bool:
        """Whether the sources were copied up to the ends. Asks the log, at most every 50 ms."""
        if self._ends and self._clock.monotonic() >= self._look_at:
            self._look()
            self._look_at = self._clock.monotonic() + LOOK_SECONDS
        return not self._ends

    def _look(self) -> None:
        try:
            found = self._log.group_positions(self._group, self._ends, stable=False, timeout=POSITIONS_SECONDS)
        except LogError as error:
            log.warning("copy_not_looked_at", group=self._group, error=type(error).__name__, detail=str(error))
            return
        offsets = {at: self._starts[at] if position is None else position.offset for at, position in found.items()}
        self._ends = {at: end for at, end in self._ends.items() if offsets[at] < end}
        self.left = sum(end - max(offsets[at], self._starts[at]) for at, end in self._ends.items())


def copying(view: ViewDefinition, host: Host) -> Copying | None:
    """What a view has to wait for, as of now; None if it reads its sources themselves.

    Raises:
        TopicMissing: one of its sources does not exist.
    """
    if view.by is None:
        return None
    group = rekeying_group(host.service, view.full_name)
    return Copying(host.log, host.clock, group, topics_of(view.sources))
