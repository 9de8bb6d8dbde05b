"""The guard of a participant that acts on the outside world (P2): once a step's undo has begun, a late do is refused.

Facts are kept per inbox partition and restored from the topic `<participant>.guard`, which has as many partitions:

    key    saga "/" step, in UTF-8, where saga is name "/" key
    value  version byte 1, stage byte 2 ("its undo has begun")

The topic is compacted. A fact is dropped `KEPT_MS` after it was written, which is longer than the inbox, where a late
do would wait, keeps anything. The fact of an undo is in the log before the undo's record is acknowledged; if the
process ends between the two, the undo is handled again after all that stood before it.

The guard of processors is in `eventstore.processor.guard`: they know besides whether a do happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from eventstore.log.port import Log, Reader
from eventstore.log.records import Topic, TopicPartition
from eventstore.processor.topics import DAY_MS, INBOX_RETENTION_MS

UNDONE = bytes((1, 2))
KEPT_MS = 4 * INBOX_RETENTION_MS
READ_RECORDS = 5_000
READ_SECONDS = 0.02


class Verdict(Enum):
    """What shall become of a step's command."""

    RUN = "run"
    LATE_DO = "its undo was handled before"


def guard_of(participant: str) -> str:
    """The topic of a participant's guard."""
    return f"{participant}.guard"


def guard_topic(participant: str, partitions: int) -> Topic:
    """The guard's topic, as it shall be."""
    settings = {"cleanup.policy": "compact,delete", "retention.ms": str(KEPT_MS), "delete.retention.ms": str(DAY_MS)}
    return Topic(name=guard_of(participant), partitions=partitions, compacted=True, settings=settings)


def fact_key(attributes: Mapping[str, str]) -> bytes:
    """What a step of a saga is kept under; empty for a command that no saga sent."""
    saga = attributes.get("saga")
    return f"{saga}/{attributes.get('step', '')}".encode() if saga else b""


class Guard:
    """The facts of one partition."""

    def __init__(self) -> None:
        self._undone: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._undone)

    def ask(self, attributes: Mapping[str, str]) -> Verdict:
        """Whether the command may be handled."""
        is_late = attributes.get("role") == "do" and fact_key(attributes) in self._undone
        return Verdict.LATE_DO if is_late else Verdict.RUN

    def note_undo(self, attributes: Mapping[str, str], now_ms: int) -> bytes | None:
        """An undo begins; returns the key under which to record that, None if that was done before."""
        key = fact_key(attributes)
        if not key or key in self._undone:
            return None
        self._undone[key] = now_ms
        return key

    def restore(self, key: bytes, value: bytes | None, timestamp_ms: int, now_ms: int) -> None:
        """Take a record of the topic."""
        if value is None or timestamp_ms < now_ms - KEPT_MS:
            self._undone.pop(key, None)
        elif value[:1] == UNDONE[:1]:
            self._undone[key] = timestamp_ms


class GuardReader:
    """Reads a partition of the guard's topic into a guard, in slices."""

    def __init__(self, log: Log, partition: TopicPartition, guard: Guard) -> None:
        self._tp, self._guard = partition, guard
        self._end = log.end_positions([partition], isolation="uncommitted")[partition]
        self._reader: Reader = log.reader(log.start_positions([partition]))

    def read(self, now_ms: int) -> bool:
        """Read a slice; returns whether everything that was there at the start is read."""
        if self._reader.position(self._tp) < self._end:
            for record in self._reader.read(READ_RECORDS, READ_SECONDS):
                if record.key is not None:
                    self._guard.restore(record.key, record.value, record.timestamp_ms, now_ms)
        if self._reader.position(self._tp) < self._end:
            return False
        self.close()
        return True

    def close(self) -> None:
        """Stop reading."""
        self._reader.close()
