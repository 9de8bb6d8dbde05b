"""What is erased of streams, for whoever reads their events straight from the topic (E2).

The state topic of the same partitions says it, and outranks the events. It is read to where its end stands when one
asks, so whatever was acknowledged by then is known; afterwards it can be followed. Memory: the ids of erased streams,
or of one stream where only that is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable

from eventstore.event_records import stream_and_version
from eventstore.log.port import Log, Reader
from eventstore.log.records import Record, TopicPartition
from eventstore.processor.erasure import PREFIX, decode_erasure, erasure_key
from eventstore.processor.topics import state_beside
from eventstore.scanning import Scan

RECORDS_AT_ONCE = 1_000


def first_kept(log: Log, events: TopicPartition, stream: str) -> int:
    """The first version of a stream that is not erased; 0 if nothing is. `events`: the partition with its events.

    Raises:
        ReadStalled: the state topic has records that could not be read in time.
    """
    erased = ErasedStreams(log, events.topic, [events.partition], only=stream)
    try:
        return erased.first(stream)
    finally:
        erased.close()


class ErasedStreams:
    """The erased streams of some partitions of a topic of events. One thread at a time."""

    def __init__(self, log: Log, events: str, partitions: Iterable[int], *, only: str | None = None) -> None:
        """Read the state topic to its end. `only`: keep in mind what is said of this stream.

        Raises:
            ReadStalled: it has records that could not be read in time.
        """
        self._log, self._topic = log, state_beside(events)
        self._only = None if only is None else erasure_key(only.encode())
        self._first: dict[bytes, int] = {}
        self._positions: dict[int, int] = {}
        self._reader: Reader | None = None
        self._read(dict.fromkeys(partitions, 0))

    def first(self, stream: str) -> int:
        """The first version of a stream that is not erased, as far as was read."""
        return self._first.get(erasure_key(stream.encode()), 0)

    def hides(self, record: Record) -> bool:
        """Whether a record of the events topic is an erased event."""
        if not self._first:
            return False
        stream, version = stream_and_version(record)
        return version < self._first.get(erasure_key(stream), 0)

    def follow(self) -> None:
        """Take in what came since, without waiting for more."""
        if self._reader is None:
            positions = {TopicPartition(self._topic, number): at for number, at in self._positions.items()}
            self._reader = self._log.reader(positions)
        while records := self._reader.read(RECORDS_AT_ONCE, 0.0):
            self._take(records)

    def close(self) -> None:
        """Release the reader."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _read(self, start: dict[int, int]) -> None:
        scan = Scan(self._log, self._topic, start)
        try:
            while not scan.is_done:
                self._take(scan.page())
            self._positions = {number: scan.position(number) for number in start}
        finally:
            scan.close()

    def _take(self, records: Iterable[Record]) -> None:
        for record in records:
            key, value = record.key or b"", record.value
            if key.startswith(PREFIX) and value is not None and self._only in (None, key):
                self._first[key] = max(decode_erasure(value).first, self._first.get(key, 0))
