"""The log port: what an engine offers, and what it promises.

Three engines implement it: `kafka://`, `embedded:///folder` and `memory://`. Every promise below has a test in
`eventstore.testing.log`, which runs on all three. What it passes around is in `eventstore.log.records`.

The port is synchronous and batched. Nothing here is safe to call from two threads at once, except `Log` itself and
`Producer.produce`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from eventstore.log.errors import LogError
from eventstore.log.records import (
    Headers,
    Isolation,
    Outgoing,
    Position,
    Record,
    Topic,
    TopicDescription,
    TopicPartition,
)

Use: TypeAlias = Literal["any", "guest", "host"]
"""What a log is opened for: to use what others host, or to host; any: unknown."""


class Log(Protocol):
    """A log: topics of partitions of records. Open one with `eventstore.log.open_log(url)`."""

    url: str
    message_max_bytes: int
    """Largest record (key, value and headers) that is taken."""

    def create(self, topics: Iterable[Topic]) -> None:
        """Create the topics that do not exist, and freeze their partition counts in the manifest.

        Topics that exist are checked. Their settings stay as they are; the manifest notes which are wanted.

        Raises:
            PartitionCountChanged: a topic has other partitions than its manifest or than `partitions` says.
        """
        ...

    def describe(self, names: Iterable[str] | None = None) -> dict[str, TopicDescription]:
        """The topics of these names that exist; all topics if None."""
        ...

    def configuration(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        """The settings in force of the topics of these names that exist, by Kafka's names.

        Those that were wanted or changed are among them; which others are is the engine's.
        """
        ...

    def configure(self, topic: str, settings: Mapping[str, str]) -> None:
        """Change settings of a topic, now and durably. The others stay as they are.

        Raises:
            TopicMissing: there is no such topic.
            LogError: the log takes no such setting or value; nothing was changed.
        """
        ...

    def delete(self, names: Iterable[str]) -> None:
        """Delete topics, with records, manifest and group positions. Missing ones are ignored."""
        ...

    def producer(self) -> Producer:
        """A new idempotent, non-transactional producer."""
        ...

    def transactor(self, transactional_id: str) -> Transactor:
        """A new transactional producer. Earlier ones of this id are fenced, and their open unit is aborted, by now."""
        ...

    def group(self, group: str, topics: Sequence[str], listener: Listener, *, session_ms: int = 6_000) -> GroupConsumer:
        """Join a consumer group. The assignment arrives in `poll`."""
        ...

    def reader(self, positions: Mapping[TopicPartition, int], *, isolation: Isolation = "committed") -> Reader:
        """Read partitions from these positions, without a group. One below the log's start begins at its start."""
        ...

    def start_positions(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Where each partition begins: records before were removed by retention. Compaction does not move it."""
        ...

    def end_positions(
        self, partitions: Iterable[TopicPartition], *, isolation: Isolation = "committed"
    ) -> dict[TopicPartition, int]:
        """The position after the last record: after the last one visible to read-committed readers, or after all.

        The committed end never lies beyond an open transaction; the uncommitted end never lies before one.
        """
        ...

    def group_positions(
        self, group: str, partitions: Iterable[TopicPartition], *, stable: bool = True, timeout: float = 5.0
    ) -> dict[TopicPartition, Position | None]:
        """The group's committed positions, None where it has none. `stable` waits for open units that send some.

        Raises:
            TimeoutError: `stable`, and a position was still pending after `timeout` seconds.
        """
        ...

    def groups(self, *, live: bool = False) -> list[str]:
        """The names of the groups that have members or positions, sorted. `live`: of those that have members only.

        It disturbs nobody. A member that died is one until its session ends.
        """
        ...

    def trouble(self) -> str:
        """What keeps it from answering, if that was noticed in the last seconds; else empty. Any thread, at once."""
        ...

    def close(self) -> None:
        """Close the log. What was opened from it is closed first by whoever opened it."""
        ...


class Producer(Protocol):
    """Appends records, each acknowledged by all in-sync replicas, in order per partition, without duplicates."""

    def produce(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        *,
        timestamp_ms: int | None = None,
        on_delivery: Callable[[LogError | None, int], None] | None = None,
    ) -> None:
        """Buffer one record; it is sent by itself. A later `poll` or `flush` calls `on_delivery(error, offset)`.

        Raises:
            MessageTooLarge: at once.
            InvalidRecord: at once or by `on_delivery`: no key on a compacted topic.
        """
        ...

    def send(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> Future[int]:
        """Like `produce`, with a future of the offset that is resolved without `poll`."""
        ...

    def poll(self, timeout: float = 0.0) -> None:
        """Call the due delivery callbacks, waiting up to `timeout` seconds for one."""
        ...

    def flush(self, timeout: float = 10.0) -> None:
        """Wait until everything buffered was acknowledged or failed.

        Raises:
            OutcomeUnknown: some records were neither after `timeout` seconds.
            LogError: that of the first record that failed and had no `on_delivery`.
        """
        ...

    def close(self) -> None:
        """Flush, then release the connection."""
        ...


class Transactor(Protocol):
    """Writes units: records to many partitions and group positions, all or nothing.

    A read-committed reader sees a unit's records only after its commit and never those of an aborted one.
    """

    transactional_id: str

    def begin(self) -> None:
        """Open a unit."""
        ...

    def rest(self) -> None:
        """To be called now and then while there is nothing to write: what the log told meanwhile is heeded. Raises
        nothing, and waits for nobody. With an open unit, nothing happens."""
        ...

    def produce(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        *,
        timestamp_ms: int | None = None,
    ) -> None:
        """Buffer one record into the open unit.

        Raises:
            MessageTooLarge: at once; the unit stays usable.
        """
        ...

    def produce_all(self, records: Sequence[Outgoing]) -> None:
        """Buffer records into the open unit, in their order; costs less than one at a time.

        Raises:
            MessageTooLarge: at once; the unit is to be aborted, because it holds those before and not those after.
        """
        ...

    def commit(
        self,
        positions: Mapping[TopicPartition, Position] | None = None,
        member: Member | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> dict[TopicPartition, int]:
        """Commit the open unit, with the group positions of `member`. Give both or neither.

        `meanwhile` is called on this thread, once before this returns and at most once before this raises: an engine
        that waits for others calls it while it waits. It uses no transactor and raises nothing.

        Returns: the offset of the last record of this unit in each partition that it wrote.

        Raises:
            ValueError: `positions` is empty or holds a negative offset although `member` is given (K2).
            StaleMember: the member's assignment changed since that poll, or it is not in the group any more; aborted.
            DataRefused: nothing happened, and will not with these records; the transactor is usable.
            TransactionAborted: nothing happened; the unit is closed; this transactor is usable.
            Fenced: the id was taken over; nothing happened; close this transactor.
            OutcomeUnknown: it may have happened (K6); close this transactor and open another under the same id.
            NotAuthorized: nothing happened.
        """
        ...

    def abort(self) -> None:
        """Drop the open unit. Without one, nothing happens."""
        ...

    def close(self) -> None:
        """Abort an open unit and release the connection."""
        ...


class Listener(Protocol):
    """Hears of assignment changes, on the thread of the call: `poll` or `close`, for `lost` also `commit`."""

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """These partitions were added. They deliver nothing until `GroupConsumer.start`."""
        ...

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """These are about to go to others: finish and commit what is under way before returning."""
        ...

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """These are gone already: a commit for them is refused."""
        ...


class Member(Protocol):
    """Who a group member was at a poll; opaque, given back to `commit` (K3)."""

    @property
    def group(self) -> str:
        """The group's name."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """What one poll returned."""

    records: Sequence[Record]
    member: Member | None
    """None while the consumer has no valid membership: nothing may be committed then."""


class GroupConsumer(Protocol):
    """A member of a consumer group. At most one member of a group can commit for a partition."""

    group: str

    def poll(self, max_records: int, timeout: float) -> Batch:
        """Serve callbacks and return up to `max_records` records, in order per partition.

        Waits up to `timeout` seconds for the first record and not at all for more. Call it at least every session.
        Only committed records are returned.

        Raises:
            LogError: what the engine cannot mend by itself (authorization, a topic that vanished, an offset out of
            range).
        """
        ...

    def assignment(self) -> frozenset[TopicPartition]:
        """What this member owns as of the last poll."""
        ...

    def start(self, partition: TopicPartition, position: int) -> None:
        """Deliver the records of an assigned partition from `position`. One that was started is moved, and resumed."""
        ...

    def position(self, partition: TopicPartition) -> int:
        """The next position of a started partition: beyond what `poll` returned, and beyond markers after it."""
        ...

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Deliver nothing of these until `resume`. What was fetched ahead is not lost."""
        ...

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Deliver again."""
        ...

    def committed(self, partitions: Iterable[TopicPartition], timeout: float) -> dict[TopicPartition, Position | None]:
        """Committed positions, None where there is none, waiting for pending ones (K4).

        Raises:
            TimeoutError: a position was still pending after `timeout` seconds.
        """
        ...

    def commit(self, positions: Mapping[TopicPartition, Position], member: Member | None = None) -> None:
        """Commit positions, without a unit; returns when the log has them.

        Raises:
            StaleMember: this member does not own a partition any more; nothing was committed.
            BrokerUnreachable: nobody acknowledged it in time; a successor may begin at these positions or before. The
                member may have lost its partitions with that, as the listener heard.
        """
        ...

    def close(self) -> None:
        """Leave the group: `revoked` is called, then the partitions move at once."""
        ...


class Reader(Protocol):
    """Reads explicit partitions, without a group."""

    def read(self, max_records: int, timeout: float) -> list[Record]:
        """Up to `max_records` records, waiting up to `timeout` seconds for the first one, not for more."""
        ...

    def position(self, partition: TopicPartition) -> int:
        """The next position: beyond what was read, and beyond markers and aborted records after it (K4)."""
        ...

    def close(self) -> None:
        """Release the connection."""
        ...
