"""Take one protection out of an owner: what the tests show the checker with. The product knows nothing of this.

- K2: transactions name no positions, so the group fences nobody. A process that was stopped between its decision and
  its transaction, and replaced, then commits what it decided on.
- K3: who the member is, is not taken with the batch but asked for when the transaction is sent, after another poll if
  time has passed, and what it owns is not compared. A process that was stopped and thrown out of the group, and has
  joined again, then commits as the member that it is now, which Kafka takes.
- K4: a restore goes to the *committed* end. With K4-MARKERS, which is no plant, the markers of the last transactions
  are on their way for a while, as they may be: what was committed lately cannot be read yet.
- K6: a commit whose outcome is unknown is taken for one that failed, and is decided again on the old state.
- K8: earlier inputs are forgotten: a repeat is decided again.
- K9: a due timer fires at once, whatever waits in the inbox.
- E2: a successor does not learn what was erased.
- E2-VERSIONS: a successor takes a deleted stream for one that never was.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, cast
from weakref import WeakKeyDictionary

from eventstore.component import Host
from eventstore.log.errors import OutcomeUnknown, TransactionAborted
from eventstore.log.kafka.group import KafkaGroupConsumer
from eventstore.log.kafka.membership import KafkaMember, Membership, _names_member
from eventstore.log.kafka.transactor import KafkaTransactor
from eventstore.log.port import Batch
from eventstore.log.records import Isolation, Position, Record, TopicPartition
from eventstore.processor.commits import Commits
from eventstore.processor.due import Barrier
from eventstore.processor.erasure import PREFIX as ERASED
from eventstore.processor.erasure import decode_erasure
from eventstore.processor.index import event_key, head_row
from eventstore.processor.inputs import Outgoing
from eventstore.processor.outcomes import Outcomes
from eventstore.processor.restore import Restore
from eventstore.processor.rows import Outcome, SyncedTo
from eventstore.processor.takeover import Takeover
from eventstore.state.port import Row

OVERSLEPT_SECONDS, PATIENCE_SECONDS = 1.0, 10.0


def plant(names: str) -> None:
    """Take out what is named, separated by commas, in this process."""
    for name in filter(None, names.split(",")):
        _PLANTS[name]()


def commit_without_positions(
    self: Commits,
    batch: Batch,
    written: Collection[TopicPartition] = (),
    out: Sequence[Outgoing] = (),
    meanwhile: Callable[[], None] | None = None,
) -> dict[TopicPartition, int]:
    """In place of `Commits.commit`: the transaction names no positions."""
    assert self.transactor is not None
    self.transactor.begin()
    for topic, partition, key, value, headers, time_ms in out:
        self.transactor.produce(topic, partition, key, value, headers, timestamp_ms=time_ms)
    return self.transactor.commit(meanwhile=meanwhile)


def _without_positions() -> None:
    Commits.commit = commit_without_positions  # type: ignore[method-assign]


def _member_of_the_moment() -> None:
    consumers: WeakKeyDictionary[Membership, KafkaGroupConsumer] = WeakKeyDictionary()
    polled: WeakKeyDictionary[Membership, float] = WeakKeyDictionary()
    made, capture = KafkaGroupConsumer.__init__, Membership.capture

    def captured(self: Membership, metadata: bytes) -> KafkaMember | None:
        polled[self] = time.monotonic()
        return capture(self, metadata)

    def init(self: KafkaGroupConsumer, *arguments: Any, **options: Any) -> None:
        made(self, *arguments, **options)
        consumers[self._membership] = self

    def may_commit(self: KafkaMember, partitions: Iterable[TopicPartition]) -> bool:
        return True

    def has_rejoined(self: KafkaMember, moment: bytes) -> bool:
        return moment != self.captured and self.changes != self.membership.changes and bool(self.membership.owned)

    def metadata(self: KafkaMember) -> bytes:
        consumer, until = consumers[self.membership], time.monotonic() + PATIENCE_SECONDS
        overslept = time.monotonic() - polled[self.membership] > OVERSLEPT_SECONDS
        while (moment := _moment(consumer)) is None or (overslept and not has_rejoined(self, moment)):
            assert time.monotonic() < until, "the group does not take the member back"
            consumer.poll(1, 0.1)
        return moment

    Membership.capture = captured  # type: ignore[method-assign]
    KafkaGroupConsumer.__init__ = init  # type: ignore[method-assign]
    KafkaMember.may_commit = may_commit  # type: ignore[method-assign]
    KafkaMember.metadata = metadata  # type: ignore[method-assign]


def _moment(consumer: KafkaGroupConsumer) -> bytes | None:
    """Who the member is now."""
    assert consumer._consumer is not None
    metadata = consumer._consumer.consumer_group_metadata()
    return cast("bytes", metadata) if _names_member(metadata) else None


def _committed_end() -> None:
    real = Takeover._take_ends

    def take_ends(self: Takeover) -> None:
        self._host = cast("Host", _CommittedEnds(self._host))
        real(self)

    Takeover._take_ends = take_ends  # type: ignore[method-assign]


class _CommittedEnds:
    """A host whose log tells committed ends, whatever it is asked."""

    def __init__(self, of: Any) -> None:
        self._of = of

    def __getattr__(self, name: str) -> Any:
        return _CommittedEnds(self._of.log) if name == "log" else getattr(self._of, name)

    def end_positions(self, partitions: Iterable[TopicPartition], **_: Any) -> Mapping[TopicPartition, int]:
        return dict(self._of.end_positions(partitions, isolation="committed"))


MARKERS_SECONDS = 1.0
"""How long markers are on their way."""


def _late_markers() -> None:
    real = Takeover.__init__

    def init(self: Takeover, host: Any, *arguments: Any, **options: Any) -> None:
        late = cast("Host", _LateMarkers(host, time.monotonic() + MARKERS_SECONDS))
        real(self, late, *arguments, **options)

    Takeover.__init__ = init  # type: ignore[method-assign]


class _LateMarkers:
    """A host whose log has nothing that is committed, until a moment; the log of such a host; a reader of it."""

    def __init__(self, of: Any, until: float, positions: Mapping[TopicPartition, int] | None = None) -> None:
        self._of, self._until, self._positions = of, until, positions or {}

    def __getattr__(self, name: str) -> Any:
        return _LateMarkers(self._of.log, self._until) if name == "log" else getattr(self._of, name)

    def end_positions(
        self, partitions: Iterable[TopicPartition], *, isolation: Isolation = "committed"
    ) -> Mapping[TopicPartition, int]:
        is_late = isolation == "committed" and time.monotonic() < self._until
        return dict.fromkeys(partitions, 0) if is_late else self._of.end_positions(partitions, isolation=isolation)

    def reader(self, positions: Mapping[TopicPartition, int]) -> Any:
        return _LateMarkers(self._of.reader(positions), self._until, positions)

    def read(self, max_records: int, timeout: float) -> Sequence[Record]:
        left = self._until - time.monotonic()
        if left > 0:
            threading.Event().wait(min(left, timeout))
            return []
        return self._of.read(max_records, timeout)  # type: ignore[no-any-return]

    def position(self, at: TopicPartition) -> int:
        return self._positions[at] if time.monotonic() < self._until else self._of.position(at)


def _unknown_is_failed() -> None:
    real = KafkaTransactor.commit

    def commit(
        self: KafkaTransactor,
        positions: Mapping[TopicPartition, Position] | None = None,
        member: Any = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> dict[TopicPartition, int]:
        try:
            return real(self, positions, member, meanwhile)
        except OutcomeUnknown as error:
            self._spoilt_by = None
            self._reconnect()
            raise TransactionAborted("taken for a failure") from error

    KafkaTransactor.commit = commit  # type: ignore[method-assign]


def _forgetful() -> None:
    def find(self: Outcomes, input_id: str) -> Outcome | None:
        return None

    Outcomes.find = find  # type: ignore[method-assign]


def _timers_at_once() -> None:
    def instants(
        self: Barrier, due: list[TopicPartition], positions: Mapping[TopicPartition, int], now_ms: int
    ) -> dict[TopicPartition, int]:
        return dict.fromkeys(due, now_ms)

    Barrier.instants = instants  # type: ignore[method-assign]


def _deletions_forgotten() -> None:
    real = Restore._row

    def row(self: Restore, key: bytes, value: bytes) -> None:
        if not key.startswith(ERASED):
            real(self, key, value)

    Restore._row = row  # type: ignore[method-assign]


def _deleted_is_new() -> None:
    real = Restore.finish

    def finish(self: Restore, now_ms: int) -> SyncedTo:
        synced = real(self, now_ms)
        gone: list[Row] = []
        for key, value in self._state.scan(ERASED, ERASED + b"\xff"):
            erased, stream = decode_erasure(value), key[1:]
            if erased.first > erased.head:
                gone += [(key, None), (head_row(stream, 0)[0], None)]
                gone += [(event_key(stream, version), None) for version in range(erased.first)]
        self._state.write(gone)
        return synced

    Restore.finish = finish  # type: ignore[method-assign]


_PLANTS: dict[str, Callable[[], None]] = {
    "K2": _without_positions,
    "K3": _member_of_the_moment,
    "K4": _committed_end,
    "K4-MARKERS": _late_markers,
    "K6": _unknown_is_failed,
    "K8": _forgetful,
    "K9": _timers_at_once,
    "E2": _deletions_forgotten,
    "E2-VERSIONS": _deleted_is_new,
}
