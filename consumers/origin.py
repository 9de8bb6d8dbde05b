"""Where a record was read first, also after it was redriven from the dead letters.

A redriven record has the header `__dlq.redrive`, which is text, its version first: `1 <count> <offset> <partition>
<topic>`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from eventstore.log.records import Record

REDRIVE = "__dlq.redrive"
_HEADER = re.compile(rb"1 (\d{1,9}) (-1|\d{1,19}) (\d{1,9}) ([a-zA-Z0-9._-]{1,249})")


class Origin(NamedTuple):
    """Where a failed record was read first, and how often it was redriven since. What was no record has an `input`."""

    topic: str
    partition: int
    offset: int
    redrives: int = 0
    input: str = ""
    """The id of a call of the owner's process, or of a timer, and the offset of its dead letter; its own is −1."""

    def __str__(self) -> str:
        place = f"{self.topic}/{self.partition}/{f'input:{self.input}' if self.input else self.offset}"
        return f"{place}~{self.redrives}" if self.redrives else place


def origin_of(record: Record) -> Origin:
    """Where a record was read first: here, unless it was redriven. A header that no redrive wrote says nothing."""
    for name, value in record.headers:
        if name == REDRIVE and (found := _HEADER.fullmatch(value)):
            count, offset, partition, topic = found.groups()
            return Origin(topic.decode(), int(partition), int(offset), int(count))
    return Origin(record.topic, record.partition, record.offset)
