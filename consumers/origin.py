"""Where a record was read first, also after it was redriven from the dead letters.

A redriven record has the header `__dlq.redrive`, which is text, its version first: `1 <count> <offset> <partition>
<topic>`.
"""

from __future__ import annotations

from typing import NamedTuple

from eventstore.log.records import Record

REDRIVE = "__dlq.redrive"


class Origin(NamedTuple):
    """Where a failed record was read first, and how often it was redriven since."""

    topic: str
    partition: int
    offset: int
    redrives: int = 0

    def __str__(self) -> str:
        place = f"{self.topic}/{self.partition}/{self.offset}"
        return f"{place}~{self.redrives}" if self.redrives else place


def origin_of(record: Record) -> Origin:
    """Where a record was read first: here, unless it was redriven."""
    for name, value in record.headers:
        if name == REDRIVE:
            _, count, offset, partition, topic = value.decode().split(" ", 4)
            return Origin(topic, int(partition), int(offset), int(count))
    return Origin(record.topic, record.partition, record.offset)
