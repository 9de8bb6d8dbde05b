"""What the errors that a group's consumer meets mean to who uses it."""

from __future__ import annotations

from confluent_kafka import KafkaError, Message

from eventstore.log.errors import LogError, PositionMissing, StaleMember
from eventstore.log.kafka.errors import MISSING, STALE, UNREACHABLE, general
from eventstore.log.kafka.records import partition_of

HARMLESS = UNREACHABLE | {KafkaError._MAX_POLL_EXCEEDED}
"""Mended inside: librdkafka reconnects, or calls `lost` and joins again."""


class GroupErrors:
    """Of the members of one group."""

    def __init__(self, group: str, address: str) -> None:
        self._group, self._address = group, address

    def general(self, error: KafkaError, what: str, topic: str = "") -> LogError:
        """An error of the call that `what` names; `topic` if it is about one."""
        known = topic if error.code() in MISSING else ""
        return general(error, what=what, address=self._address, topic=known)

    def of_message(self, error: KafkaError, message: Message) -> LogError:
        """One that came in place of a record."""
        topic, partition = partition_of(message)
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            why = f"position {message.offset()} is not in the log ({error.str()}): say where to start"
            return PositionMissing(self._group, topic, partition, why)
        return self.general(error, f"read {topic or self._group}", topic)

    def of_positions(self, error: KafkaError, timeout: float) -> Exception:
        """One of a question for committed positions."""
        if error.code() in UNREACHABLE or error.code() == KafkaError.UNSTABLE_OFFSET_COMMIT:
            return TimeoutError(f"positions of group {self._group!r} were still pending after {timeout:g} s")
        return self.general(error, f"read the positions of group {self._group!r}")

    def of_commit(self, error: KafkaError) -> LogError:
        """One of a commit of positions."""
        if error.code() in STALE:
            return StaleMember(f"group {self._group!r} moved on ({error.str()}): nothing was committed, poll again")
        return self.general(error, f"commit positions of group {self._group!r}")


def is_harmless(error: KafkaError) -> bool:
    """Whether it mends itself."""
    return error.code() in HARMLESS or bool(error.retriable())
