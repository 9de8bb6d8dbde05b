"""What a participant adds to a worker: answers, the guard, and *unknown* in place of dead letters (P1, P2, P4).

Answers are plain idempotent produces (P9): the one who asked tells repeats apart by the answer's id, which follows
from the command's id, so that of two answers to one command the first counts. Failures have an id per delivery,
because they are not final.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from consumers.answering import Waits
from consumers.errors import Permanent
from eventstore.errors import AnswerNotDeclared
from eventstore.log.port import Producer
from eventstore.log.records import Topic, TopicPartition
from eventstore.processor.context import derived_id
from eventstore.processor.topics import inbox_of, inbox_topic
from sagas.guard import UNDONE, Guard, GuardReader, Verdict, guard_of, guard_topic
from schemas import Failure, Message, Metadata, Nothing, Refusal, SchemaError, answers, is_command
from schemas.error_text import error_text

if TYPE_CHECKING:
    from consumers.delivery import Delivery
    from eventstore.component import Host

NOTHING_TO_WAIT_FOR: Waits = ()
DETAIL_CHARACTERS = 500
FINAL = {"refusal": "final"}


class Answers:
    """Answers a participant's commands. Hooks of `consumers.answering.Answering`."""

    def __init__(self, participant: str, partitions: int | None) -> None:
        self._participant, self._inbox = participant, inbox_of(participant)
        self._partitions = partitions
        self._idempotent = set[type[Message]]()
        self._declared = dict[type[Message], frozenset[type[Message]]]()
        self._guards = dict[int, Guard]()
        self._readers = dict[int, GuardReader]()
        self._notes = dict[int, dict[str, Future[int]]]()
        self._host: Host | None = None
        self._producer: Producer | None = None

    def declare_idempotent(self, types: Iterable[type[Message]]) -> None:
        """A refusal of these commands means that nothing happened."""
        self._idempotent |= set(types)

    @property
    def topics(self) -> Sequence[Topic]:
        return (inbox_topic(self._participant, self._partitions),)

    @property
    def messages(self) -> Sequence[type[Message]]:
        return (Failure, Nothing)

    def open(self, host: Host, group: str, producer: Producer) -> None:
        self._host, self._producer = host, producer
        described = host.log.describe([self._inbox])[self._inbox]
        host.log.create([guard_topic(self._participant, described.partitions)])

    def assigned(self, partition: TopicPartition) -> None:
        if partition.topic == self._inbox:
            guard = self._guards[partition.partition] = Guard()
            self._notes[partition.partition] = {}
            place = TopicPartition(guard_of(self._participant), partition.partition)
            self._readers[partition.partition] = GuardReader(self._running().log, place, guard)

    def restore(self, partition: TopicPartition, seconds: float) -> bool:
        reader = self._readers.get(partition.partition) if partition.topic == self._inbox else None
        if reader is None:
            return True
        host = self._running()
        until = host.clock.monotonic() + seconds
        while not reader.read(host.clock.now_ms()):
            if host.clock.monotonic() >= until:
                return False
        del self._readers[partition.partition]
        return True

    def revoked(self, partition: TopicPartition) -> None:
        if partition.topic == self._inbox:
            self._guards.pop(partition.partition, None)
            self._notes.pop(partition.partition, None)
            reader = self._readers.pop(partition.partition, None)
            if reader is not None:
                reader.close()

    def before(self, delivery: Delivery) -> Waits | None:
        attributes = delivery.metadata.attributes
        guard = self._guard(delivery) if attributes else None
        if guard is None:
            return None
        if guard.ask(attributes) is Verdict.LATE_DO:
            late = Failure(error="LateDo", detail=Verdict.LATE_DO.value, final=True)
            return self._send(delivery.metadata, late, derived_id(delivery.metadata.id, "reply"))
        if attributes.get("role") == "undo":
            self._note_undo(delivery, guard)
        return None

    def answered(self, delivery: Delivery, value: object) -> Waits:
        message, metadata = delivery.message, delivery.metadata
        if metadata.reply is None and not metadata.attributes:
            return NOTHING_TO_WAIT_FOR
        answer = self._checked(message, value) if is_command(type(message)) else Nothing()
        attributes = FINAL if isinstance(answer, Refusal) and type(message) in self._idempotent else {}
        sent = self._send(metadata, answer, derived_id(metadata.id, "reply"), attributes)
        return (*sent, *self._noted(delivery))

    def failed(self, delivery: Delivery, error: BaseException) -> Waits | None:
        try:
            metadata = delivery.metadata
        except SchemaError:
            return None
        failure = Failure(
            error=type(error).__name__, detail=error_text(error)[:DETAIL_CHARACTERS], final=isinstance(error, Permanent)
        )
        record = delivery.record
        waits = self._send(metadata, failure, derived_id(metadata.id, f"failed {record.partition}/{record.offset}"))
        is_sagas_command = "saga" in metadata.attributes and record.topic == self._inbox  # its events carry them too
        return (*waits, *self._noted(delivery)) if is_sagas_command else None

    def close(self) -> None:
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()
        self._guards.clear()

    def _guard(self, delivery: Delivery) -> Guard | None:
        record = delivery.record
        return self._guards.get(record.partition) if record.topic == self._inbox else None

    def _note_undo(self, delivery: Delivery, guard: Guard) -> None:
        """Record that an undo begins; whoever acknowledges it waits for that."""
        key = guard.note_undo(delivery.metadata.attributes, self._running().clock.now_ms())
        if key is not None:
            topic, partition = guard_of(self._participant), delivery.record.partition
            self._notes[partition][delivery.metadata.id] = self._sending().send(topic, partition, key, UNDONE)

    def _noted(self, delivery: Delivery) -> Waits:
        """The record of the undo, if this delivery wrote one."""
        notes = self._notes.get(delivery.record.partition) or {}
        note = notes.pop(delivery.metadata.id, None)
        return NOTHING_TO_WAIT_FOR if note is None else (note,)

    def _checked(self, message: Message | None, value: object) -> Message:
        """The answer as a message.

        Raises:
            AnswerNotDeclared: the command does not declare it.
        """
        kind: Any = type(message)
        declared = self._declared.get(kind)
        if declared is None:
            replies, refusals = answers(kind)
            declared = frozenset(Nothing if each is type(None) else each for each in (*replies, *refusals))
            self._declared[kind] = declared
        answer = Nothing() if value is None else value
        if type(answer) not in declared or not isinstance(answer, Message):
            raise AnswerNotDeclared(self._participant, kind.__name__, type(value).__name__)
        return answer

    def _send(
        self, metadata: Metadata, answer: Message, answer_id: str, attributes: dict[str, str] | None = None
    ) -> Waits:
        """Send an answer to where the command wants it."""
        to = metadata.reply
        if to is None:
            return NOTHING_TO_WAIT_FOR
        value = self._running().serde.encode(answer)
        meta = Metadata(
            id=answer_id,
            type=answer.__type_name__,
            correlation=to.correlation,
            causation=metadata.id,
            attributes=attributes or {},
        )
        key = to.key.encode() if to.key else None
        return (self._sending().send(to.topic, to.partition, key, value, (("meta", meta.encode()),)),)

    def _running(self) -> Host:
        assert self._host is not None, f"{self._participant} was not opened"
        return self._host

    def _sending(self) -> Producer:
        assert self._producer is not None, f"{self._participant} was not opened"
        return self._producer
