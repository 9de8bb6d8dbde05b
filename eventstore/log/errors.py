"""The errors of a log, whatever its engine.

::

    LogError
    ├── BadLogUrl                 the URL names no engine, or names it wrongly
    ├── LogMissing                the embedded folder holds no log, and none is to be made
    ├── BrokerUnreachable         nobody answers at the address
    ├── NotAuthorized             the broker refuses what was asked
    ├── TopicMissing              a topic that must exist does not
    ├── PartitionCountChanged     a topic has other partitions than its manifest says
    ├── PositionMissing           a group has no position beside a non-empty log
    ├── ProcessorTaken            another service runs the processor
    ├── MessageTooLarge           a record is larger than the broker takes
    ├── InvalidRecord             a record the topic cannot hold (no key on a compacted topic)
    ├── Fenced                    another process took over this transactional id
    ├── TransactionAborted        nothing of the unit happened: decide again
    ├── DataRefused               nothing of the unit happened: one of its records is not taken
    ├── StaleMember               the group moved on since the batch was polled
    ├── OutcomeUnknown            the unit may or may not have happened: ask the log
    ├── EmbeddedInUse             the embedded folder belongs to another process
    ├── EmbeddedBroken            the embedded folder cannot be read or written
    ├── FolderUnusable            the path given for an embedded folder cannot be one
    └── LogClosed                 the log was closed

Each says what to do next. `is_retryable` tells whether the same call may succeed later.
"""

from __future__ import annotations

from eventstore.errors import EventStoreError


class LogError(EventStoreError):
    """The log could not do what was asked."""


class BadLogUrl(LogError):
    """The URL names no engine, or names it wrongly: correct it."""

    def __init__(self, url: str, why: str, *, meant: str = "") -> None:
        """`meant`: the URL that it may have been."""
        hint = f", did you mean {meant}? Else give" if meant else ". Give"
        super().__init__(f"{url!r} is no log URL: {why}{hint} kafka://host:9092, embedded:///folder or memory://")
        self.url, self.why = url, why


class LogMissing(LogError):
    """The embedded folder holds no log, and whoever only looks or asks makes none."""

    def __init__(self, folder: str) -> None:
        super().__init__(
            f"there is no log in {folder}: correct the URL (log=, --log or SAGALOG_LOG), or first run the service that "
            f"keeps its log there"
        )
        self.folder = folder


class BrokerUnreachable(LogError):
    """Nobody answers at the address: start the broker, or correct the address."""

    is_retryable = True

    def __init__(self, address: str, why: str) -> None:
        super().__init__(
            f"no Kafka answers at {address} ({why}): check that the broker runs and the address is its advertised one; "
            "`sagalog broker` starts one on this machine"
        )
        self.address, self.why = address, why


class NotAuthorized(LogError):
    """The broker refuses the operation: grant the ACL that the message names."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"not authorized to {what} ({why}): grant this principal the ACL")
        self.what, self.why = what, why


class TopicMissing(LogError):
    """A topic does not exist: create it (a service creates its own when it starts)."""

    def __init__(self, topic: str) -> None:
        super().__init__(
            f"topic {topic!r} does not exist: start the service that owns it, create it, or check that the log is the "
            f"one you mean"
        )
        self.topic = topic


class PartitionCountChanged(LogError):
    """A topic has other partitions than its manifest says, or the program: keys would move away from their state."""

    def __init__(self, topic: str, *, manifest: int, actual: int, is_asked: bool = False) -> None:
        """`is_asked`: `manifest` is what the program asks for."""
        said, wanted = f"the manifest says {manifest} partitions", actual
        if is_asked:
            said, wanted = f"{manifest} partitions are asked for", manifest
        super().__init__(
            f"{topic}: {said}, found {actual}. Partition counts are frozen, because keys would move away from their "
            f"state: {f'leave partitions= at {actual}, or ' if is_asked else ''}copy the topic to a new name with "
            f"{wanted} partitions and switch over"
        )
        self.topic, self.manifest, self.actual, self.is_asked = topic, manifest, actual, is_asked


class PositionMissing(LogError):
    """A group has no position, or one outside the log: say where to start."""

    def __init__(self, group: str, topic: str, partition: int, why: str) -> None:
        super().__init__(f"group {group!r} has no usable position in {topic}[{partition}]: {why}")
        self.group, self.topic, self.partition, self.why = group, topic, partition, why


class ProcessorTaken(LogError):
    """Another service runs the processor; two of them would fork its streams."""

    def __init__(self, group: str, topic: str, partition: int, owner: str | None) -> None:
        super().__init__(
            f"{group!r} does not run {topic}[{partition}]: the service {owner!r} does, so its records say; stop "
            f"this one; or let {owner!r} decide on what waits, stop both, and give it to this one by `sagalog group "
            f"reset {group} --topic {topic} --to end`, which skips what still waits"
        )
        self.group, self.topic, self.partition, self.owner = group, topic, partition, owner


class MessageTooLarge(LogError):
    """A record is larger than the broker takes: send a reference, or raise the limit of broker and log."""

    def __init__(self, topic: str, *, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"a record of {size_bytes:,} bytes for {topic} is larger than the limit of {limit_bytes:,}: send a "
            f"reference to the data instead, or raise max.message.bytes of the topic and message_max_bytes in the "
            f"log URL"
        )
        self.topic, self.size_bytes, self.limit_bytes = topic, size_bytes, limit_bytes


class InvalidRecord(LogError):
    """The topic cannot hold the record, such as one without a key on a compacted topic."""

    def __init__(self, topic: str, why: str) -> None:
        super().__init__(f"{topic} cannot hold the record: {why}")
        self.topic, self.why = topic, why


class Fenced(LogError):
    """Another process took over this transactional id: this one must stop writing."""

    def __init__(self, transactional_id: str) -> None:
        super().__init__(
            f"{transactional_id!r} was taken over by another process: two processes have the same slot, so give each "
            "its own SAGALOG_SLOT; or this one hung and was replaced"
        )
        self.transactional_id = transactional_id


class TransactionAborted(LogError):
    """Nothing of the unit happened: drop what was computed, read again from the last committed positions."""

    is_retryable = True


class DataRefused(TransactionAborted):
    """Nothing of the unit happened, because the log does not take one of its records: the same unit fails again."""

    is_retryable = False

    def __init__(self, why: str) -> None:
        super().__init__(f"nothing of the unit happened, for a record of it is not taken: {why}")
        self.why = why


class StaleMember(TransactionAborted):
    """The group moved on since the batch was polled; nothing of the unit happened."""


class OutcomeUnknown(LogError):
    """The unit may or may not have happened: open a new transactor under the same id and ask the log."""

    is_retryable = True


class EmbeddedInUse(LogError):
    """The embedded folder belongs to another process, which does not serve this call."""


class EmbeddedBroken(LogError):
    """The embedded folder cannot be read or written. It is the truth, never discarded: see to the disk, open again."""

    def __init__(self, folder: str, why: str) -> None:
        super().__init__(
            f"the log in {folder} cannot be used ({why}): free space or repair the disk and start again; if its files "
            "are damaged, put back a copy"
        )
        self.folder, self.why = folder, why


class FolderUnusable(LogError):
    """The path given for an embedded folder cannot be one: correct the path, or the permissions."""

    def __init__(self, folder: str, why: str) -> None:
        super().__init__(f"the log's folder {folder} cannot be used: {why}")
        self.folder, self.why = folder, why


class LogClosed(LogError):
    """The log, or the part of it that was used, was closed."""
