"""What a member of a Kafka group owns, and who it was at a poll: the fence of its commits (K3).

Assignment changes are counted in the callbacks, because a partition that is lost and regained within one poll leaves
equal sets. The broker fences by generation and member id, which stand in the consumer's group metadata:

    b"CGMDv2:", generation i32 big-endian, group, NUL, member id, NUL, …

Metadata without a generation or a member id would not be fenced, so nobody is a member then.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass

from eventstore.log.records import TopicPartition

_PREFIX = b"CGMDv2:"


class Membership:
    """What one consumer owns in its group; changed by its callbacks."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.owned: set[TopicPartition] = set()
        self.changes = 0
        """How often the assignment changed."""
        self.revoking: bytes | None = None
        """The metadata to commit with inside `revoked`: the generation has moved on, and nothing was given away yet."""
        self._last: KafkaMember | None = None

    def add(self, partitions: Iterable[TopicPartition]) -> None:
        """These are owned from now on."""
        self.owned.update(partitions)
        self.changes += 1

    def drop(self, partitions: Iterable[TopicPartition]) -> None:
        """These are owned no more."""
        self.owned.difference_update(partitions)
        self.changes += 1

    def capture(self, metadata: bytes) -> KafkaMember | None:
        """The membership of this moment; None if there is none."""
        known = self._last
        if known is not None and known.captured == metadata and known.changes == self.changes:
            return known
        self._last = KafkaMember(self.group, self, metadata, self.changes) if _names_member(metadata) else None
        return self._last

    @contextmanager
    def revocation(self, metadata: bytes) -> Generator[None]:
        """While it lasts, commits go out under this metadata."""
        self.revoking = metadata if _names_member(metadata) else None
        try:
            yield
        finally:
            self.revoking = None

    def end(self) -> None:
        """The consumer left."""
        self.owned.clear()
        self._last = None


@dataclass(frozen=True, slots=True)
class KafkaMember:
    """Who a group member was at a poll: its metadata, and how often its assignment had changed."""

    group: str
    membership: Membership
    captured: bytes
    changes: int

    def may_commit(self, partitions: Iterable[TopicPartition]) -> bool:
        """Whether the assignment is the same as at the poll, by what the callbacks told, and has these partitions.

        A broker looks at the generation only: it takes positions of partitions that the member does not own.
        """
        return self.membership.changes == self.changes and self.membership.owned.issuperset(partitions)

    def metadata(self) -> bytes:
        """What to send with positions."""
        return self.membership.revoking or self.captured


def _names_member(metadata: bytes) -> bool:
    """Whether it holds a generation and a member id."""
    if not metadata.startswith(_PREFIX):
        return False
    body = metadata[len(_PREFIX) :]
    generation = int.from_bytes(body[:4], "big", signed=True)
    _, _, member = body[4:].partition(b"\0")
    return generation >= 0 and bool(member.partition(b"\0")[0])
