"""Show how far a view is, and who serves it: the position of its group, and an owner's note in the metadata (V2).

    {"v": 1, "address": "10.0.0.7:8080", "live": true, "layout": "…", "at": {"topic": 17}}

For people, and for whoever looks for the owner; nothing is read again by it, because the position in the state rules.
So a commit that fails is only told, and tried again with the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

import structlog

from consumers.ownership import OwnerNote
from consumers.view_partition import ViewPartition
from eventstore.component import Host
from eventstore.log.errors import LogError, StaleMember
from eventstore.log.port import GroupConsumer, Member
from eventstore.log.records import Position, TopicPartition

if TYPE_CHECKING:
    from consumers.view import ViewDefinition

SHOW_SECONDS: Final = 1.0
RECOMMIT_SECONDS: Final = 24 * 60 * 60.0
"""Rule K12: positions of a quiet topic live."""

log = structlog.get_logger(__name__)


class Showing:
    """What was shown of one view's partitions in this process."""

    def __init__(self, host: Host, definition: ViewDefinition) -> None:
        self._definition, self._address, self._clock = definition, host.address, host.clock
        self._shown: dict[int, Position] = {}
        self._shown_at = self._recommitted_at = self._clock.monotonic()

    def is_due(self) -> bool:
        """Whether it is time to show what moved."""
        return self._clock.monotonic() - self._shown_at >= SHOW_SECONDS

    def forget(self, number: int) -> None:
        """The partition is not ours any more."""
        self._shown.pop(number, None)

    def show(self, partitions: Iterable[ViewPartition], consumer: GroupConsumer, member: Member) -> None:
        """Commit the positions that moved."""
        now = self._clock.monotonic()
        self._shown_at = now
        if now - self._recommitted_at >= RECOMMIT_SECONDS:
            self._recommitted_at = now
            self._shown.clear()
        current = {one.number: self._position(one) for one in partitions}
        moved = {number: position for number, position in current.items() if self._shown.get(number) != position}
        if moved:
            self._commit(moved, consumer, member)

    def _commit(self, moved: Mapping[int, Position], consumer: GroupConsumer, member: Member) -> None:
        lead = self._definition.topics[0]
        try:
            consumer.commit({TopicPartition(lead, number): position for number, position in moved.items()}, member)
        except StaleMember:
            return  # the assignment moved: the next poll says how
        except LogError as error:
            name = self._definition.full_name
            log.warning("view_positions_not_shown", view=name, error=type(error).__name__, detail=str(error))
            return
        self._shown.update(moved)

    def _position(self, partition: ViewPartition) -> Position:
        lead, *others = self._definition.topics
        note = OwnerNote(
            address=self._address,
            live=partition.is_live,
            layout=self._definition.layout,
            at={topic: partition.position(topic) for topic in others},
        )
        return Position(partition.position(lead), note.encode())
