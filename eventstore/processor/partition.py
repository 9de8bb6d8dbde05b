"""One served partition of one processor: its entities, what it knows of earlier inputs, and the batch under way.

Everything a batch changes is kept here until its transaction is committed; `applied` then turns it into one write of
rows, and `dropped` forgets it (K6).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Generic, TypeVar

import structlog

from eventstore.log.errors import InvalidRecord, LogError, MessageTooLarge
from eventstore.log.records import Record
from eventstore.processor.context import InputContext
from eventstore.processor.entities import Entities, Entity
from eventstore.processor.envelopes import dead_letter_record, reply_record
from eventstore.processor.guard import Guard, Verdict
from eventstore.processor.importing import ImportDone, ImportEvents, Imports
from eventstore.processor.index import StreamIndex
from eventstore.processor.inputs import Answered, Input, Outgoing
from eventstore.processor.outcomes import Outcomes
from eventstore.processor.port import NotKnownHere, Processor, Stateless
from eventstore.processor.routes import Routes
from eventstore.processor.rows import Outcome, SyncedTo
from eventstore.processor.stash import Stash
from eventstore.processor.timers import Timers
from eventstore.processor.tombstones import TOMBSTONES_AT_ONCE, Erasures, LastTombstone, kept_of
from eventstore.processor.topics import inbox_of
from eventstore.processor.writes import Writes
from eventstore.state.errors import StateError
from eventstore.state.port import Row, State
from schemas import Event, Failure, Handled, Message, Metadata, Nothing, SchemaError, Serde

S = TypeVar("S")
log = structlog.get_logger()


class Partition(Generic[S]):
    """Decides on inputs, in order; one thread."""

    def __init__(
        self,
        processor: Processor[S],
        number: int,
        group: str,
        state: State,
        serde: Serde,
        routes: Routes,
        synced: SyncedTo,
    ) -> None:
        self.processor, self.number, self.state = processor, number, state
        self.inbox = (inbox_of(processor.name), number)
        self._group, self._serde, self._routes = group, serde, routes
        self._limit = routes.message_max_bytes
        self._writes = Writes(processor.name, number, state, synced)
        self.index = StreamIndex(state)
        self.timers = Timers(state)
        self._outcomes = Outcomes(state)
        self._guard = Guard(state)
        self._stash = Stash(state, serde, *self.inbox)
        self._erasures = Erasures(state)
        self._entities = Entities(processor, serde, self.index, self._erasures)
        self._imports = Imports(serde, self._writes, self._erasures, decode=not isinstance(processor, Stateless))
        self._step = synced.step
        self._touched: dict[str, list[Event | None]] = {}
        self._now_ms = 0
        self._now = datetime.fromtimestamp(0, UTC)

    def at(self, now_ms: int) -> None:
        """Set the batch's time."""
        self._writes.now_ms = self._now_ms = now_ms
        self._now = datetime.fromtimestamp(now_ms / 1000, UTC)

    def is_changed(self) -> bool:
        """Whether the batch has something to write."""
        return bool(self._writes)

    def handle(self, item: Input, out: list[Outgoing]) -> Answered | None:
        """Decide on one input; records go to `out`. Returns what a local caller shall learn."""
        known = self._outcomes.find(item.metadata.id)
        if known is not None:
            return self._repeat(item, known.answer, out)
        if isinstance(item.message, ImportEvents):
            return self._import(item, item.message, out)
        verdict = self._guard.ask(item.metadata)
        if verdict is not Verdict.DECIDE:
            return self._guarded(item, verdict, out)
        entity = self._entities.get(item.key, self._touched.get(item.key, ()))
        context = self._context(item, entity)
        try:
            self.processor.decide(entity.state, item.message, context)
            answer = context.encoded_answer()
        except (StateError, MemoryError):
            raise
        except NotKnownHere as unknown:
            self._entities.forget(item.key)
            if item.record is None:
                return self.poison(item, unknown, out)
            self.stash(item, out)
            return None
        except Exception as error:
            self._entities.forget(item.key)
            if isinstance(error, LogError) and not isinstance(error, (MessageTooLarge, InvalidRecord)):
                raise
            return self.poison(item, error, out)
        return self._absorb(item, entity, context, answer, out)

    def poison(self, item: Input, error: Exception, out: list[Outgoing]) -> Answered | None:
        """Dead-letter an input that failed by its own fault, and answer its caller (K7)."""
        log.warning(
            "input_failed", processor=self.processor.name, partition=self.number, key=item.key,
            type=item.metadata.type, id=item.metadata.id, error=type(error).__name__, detail=str(error)[:500],
        )  # fmt: skip
        self._step += 1  # each failure is an answer of its own
        failure = Failure(error=type(error).__name__, detail=str(error)[:2000], final=False)
        if "saga" not in item.metadata.attributes:
            out.append(dead_letter_record(item, error, self.inbox, self._group, self._serde, self._now_ms, self._limit))
        self._send_reply(item, failure, out, f"failed-{self._step}")
        self._clear_timer(item, out)
        return None if item.call is None else Answered(item.call, failure, True)

    def forwarded(self, item: Input, out: list[Outgoing]) -> bool:
        """K11: a record that a foreign producer put on the wrong partition goes to the right one."""
        right = self._routes.partition(self.inbox[0], item.key)
        record = item.record
        if right == self.number or record is None:
            return False
        log.warning("record_forwarded", topic=self.inbox[0], partition=self.number, to=right, offset=record.offset)
        out.append((self.inbox[0], right, record.key, record.value, record.headers, record.timestamp_ms))
        return True

    def stash(self, item: Input, out: list[Outgoing]) -> None:
        """K7: keep an input of a type that this code does not know, until an owner does."""
        record = item.record
        assert record is not None, "only records are of unknown type"
        log.warning("record_stashed", topic=self.inbox[0], partition=self.number, type=item.metadata.type)
        self._journal(self._stash.row(item.metadata.id, record), out)

    def unstash(self) -> list[Record]:
        """The stashed inputs whose type this code knows. They are handled like inbox records, and then forgotten."""
        return self._stash.known()

    def release(self, record: Record, out: list[Outgoing]) -> bool:
        """Forget a stashed record, which is handled now. False: it was released before."""
        key = self._stash.find(record)
        if key is None or self._writes.has(key):
            return False
        self._journal((key, None), out)
        return True

    def sweep(self, out: list[Outgoing]) -> None:
        """Forget some of the outcomes that no repeat can ask for any more (K1); called once per batch."""
        for key, is_journaled in self._outcomes.expired(self._now_ms):
            if is_journaled:
                self._journal((key, None), out)
            else:
                self._writes.set([(key, None)])

    def is_erasing(self, now_ms: int) -> bool:
        """Whether tombstones of erased events are to be written. Any thread may ask."""
        return self._erasures.are_due(now_ms)

    def tombstone(self, out: list[Outgoing]) -> None:
        """Write some of the tombstones that are to be written (E2), after all events of the batch."""
        found = self._erasures.next_open()
        if found is None:
            self._repeat_tombstone(out)
            return
        key, erased = found
        upto = min(erased.done + TOMBSTONES_AT_ONCE, erased.first, self.index.head(key) + 1)
        for stored in self.index.rows(key, erased.done, upto - 1):
            for row in kept_of(stored.meta, key, self._writes.current):
                self._journal(row, out)
        self._writes.tombstones(key.encode(), range(erased.done, upto), out)
        self._journal(self._erasures.wrote(LastTombstone(self._now_ms, key.encode(), upto - 1)), out)
        self._step += 1
        self._journal(self._erasures.change(key, erased._replace(step=self._step, done=upto)), out)

    def _repeat_tombstone(self, out: list[Outgoing]) -> None:
        """End the segment of the last one, so that the cleaner may go there."""
        last = self._erasures.to_repeat(self._now_ms)
        if last is not None:
            self._writes.tombstones(last.stream, range(last.version, last.version + 1), out)
            self._journal(self._erasures.wrote(None), out)

    def applied(self, ends: dict[str, int]) -> list[Row]:
        """The rows of the committed batch. `ends`: offset of the last record per journal topic, where there was one."""
        rows = self._writes.applied(self._step, ends)
        self._erasures.applied()
        self._end_batch()
        return rows

    def dropped(self) -> None:
        """Forget the batch: nothing of it happened."""
        for key in self._touched:
            self._entities.forget(key)
        self._step = self._writes.synced.step
        self._writes.forget()
        self._erasures.dropped()
        self._end_batch()
        self.timers.reload()

    def _end_batch(self) -> None:
        self._touched = {}
        self._outcomes.forget_batch()
        self._guard.forget_batch()
        self._entities.trim()

    def _context(self, item: Input, entity: Entity[S]) -> InputContext[S]:
        return InputContext(
            self.processor, self._serde, self._routes, self.index, inbox=self.inbox, key=item.key,
            metadata=item.metadata, now=self._now, now_ms=self._now_ms, state=entity.state, version=entity.version,
            first=entity.first,
        )  # fmt: skip

    def _absorb(
        self, item: Input, entity: Entity[S], context: InputContext[S], answer: bytes | None, out: list[Outgoing]
    ) -> Answered | None:
        """Make what the decision put out part of the batch."""
        self._step += 1
        entity.state, entity.version = context.state, context.version
        if item.timer and item.timer not in context.timers:
            context.cancelled.add(item.timer)
        if context.events:
            self._absorb_events(item, context, answer, out)
        elif answer is not None or context.sent or context.timers or context.cancelled or context.first > entity.first:
            self._absorb_quietly(item, context, answer, out)
        if context.first > entity.first:
            self._erase(item.key, context, out)
        self._absorb_timers(item.key, context)
        out.extend(context.sent)
        if context.answered:
            number = "reply" if context.answer_is_final else f"reply-{self._step}"
            self._send_reply(item, context.answer, out, number, answer)
        return None if item.call is None else Answered(item.call, context.answer, context.answered)

    def _absorb_events(self, item: Input, context: InputContext[S], answer: bytes | None, out: list[Outgoing]) -> None:
        """K1: the commit's last event says what a successor needs of the input."""
        given, stream = item.metadata, item.key.encode()
        touched = self._touched.setdefault(item.key, [])
        first, last = context.version - len(context.events) + 1, len(context.events) - 1
        done = Handled(
            step=self._step,
            input=given.id,
            answer=answer,
            timers=[(name, due, payload) for name, (due, payload) in context.timers.items()],
            cancelled=sorted(context.cancelled),
        )
        for place, (type_name, value, event) in enumerate(context.events):
            meta = Metadata(
                id=f"{given.id}.{place}", type=type_name, correlation=given.correlation or given.id,
                causation=given.id, commit=given.id, index=place, attributes=given.attributes,
                done=done if place == last else None,
            ).encode()  # fmt: skip
            self._writes.event(stream, first + place, meta, value, out)
            touched.append(event)
        outcome = self._outcomes.remember(given.id, Outcome(self._step, self._now_ms, answer))
        self._writes.set([outcome, *self._guard.absorb(given, context.answer)])

    def _import(self, item: Input, given: ImportEvents, out: list[Outgoing]) -> Answered | None:
        """Append events as they were recorded elsewhere, with nothing to decide."""
        self._step += 1
        entity = self._entities.get(item.key, self._touched.get(item.key, ()))
        if (lost := given.lost(entity.version, entity.first)) is not None:
            self._send_reply(item, lost, out, f"reply-{self._step}")
            return None if item.call is None else Answered(item.call, lost, True)
        try:
            events = self._imports.absorb(item.key, given, self._step, out, is_new=entity.version == -1)
        except SchemaError as error:
            return self.poison(item, error, out)
        self._touched.setdefault(item.key, []).extend(events)
        self._entities.forget(item.key)
        done = ImportDone(version=given.first + len(events) - 1)
        answer = self._serde.encode(done)
        outcome = Outcome(self._step, self._now_ms, answer, True)
        self._journal(self._outcomes.remember(item.metadata.id, outcome), out)
        self._send_reply(item, done, out, "reply", answer)
        return None if item.call is None else Answered(item.call, done, True)

    def _erase(self, key: str, context: InputContext[S], out: list[Outgoing]) -> None:
        """E2: this record is the deletion. What was folded from erased events goes, too: here snapshots are erased."""
        erased = self._erasures.find(key)._replace(step=self._step, first=context.first, head=context.version)
        self._journal(self._erasures.change(key, erased), out)
        self._entities.forget(key)

    def _absorb_quietly(self, item: Input, context: InputContext[S], answer: bytes | None, out: list[Outgoing]) -> None:
        """K1: an input without events leaves its outcome, timers and guard in the state topic."""
        self._touched.setdefault(item.key, [])
        rows = [
            self._outcomes.remember(item.metadata.id, Outcome(self._step, self._now_ms, answer, True)),
            *self.timers.rows(item.key, self._step, context.timers, context.cancelled),
            *self._guard.absorb(item.metadata, context.answer),
        ]
        for row in rows:
            self._journal(row, out)

    def _journal(self, row: Row, out: list[Outgoing]) -> None:
        self._writes.journal(row, out)

    def _absorb_timers(self, key: str, context: InputContext[S]) -> None:
        if not (context.timers or context.cancelled):
            return
        self._writes.set(self.timers.rows(key, self._step, context.timers, context.cancelled))
        self.timers.change(key, self._step, context.timers, context.cancelled)

    def _clear_timer(self, item: Input, out: list[Outgoing]) -> None:
        """A due timer whose message is poison must not fire again, nor at a successor."""
        if item.timer:
            for row in self.timers.rows(item.key, self._step, {}, {item.timer}):
                self._journal(row, out)
            self.timers.change(item.key, self._step, {}, {item.timer})

    def _repeat(self, item: Input, answer: bytes | None, out: list[Outgoing]) -> Answered | None:
        """K8: a repeat gets the stored reply."""
        message = None if answer is None else self._serde.decode(answer)
        message = None if isinstance(message, Nothing) else message
        if answer is not None:
            self._send_reply(item, message, out, "reply", answer)
        return None if item.call is None else Answered(item.call, message, answer is not None)

    def _guarded(self, item: Input, verdict: Verdict, out: list[Outgoing]) -> Answered | None:
        """P2: a late do is refused; the undo of what was never done has nothing to do."""
        late = Failure(error="LateDo", detail="its undo was handled before", final=True)
        answer = late if verdict is Verdict.LATE_DO else None
        self._step += 1
        encoded = self._serde.encode(Nothing() if answer is None else answer)
        outcome = Outcome(self._step, self._now_ms, encoded, True)
        self._journal(self._outcomes.remember(item.metadata.id, outcome), out)
        for row in self._guard.absorb(item.metadata, answer):
            self._journal(row, out)
        self._send_reply(item, answer, out, "reply", encoded)
        return None if item.call is None else Answered(item.call, answer, True)

    def _send_reply(
        self, item: Input, message: Message | None, out: list[Outgoing], number: str, encoded: bytes | None = None
    ) -> None:
        """`number` makes the reply's id of the input's: a final one has the same id whenever it is sent (K8)."""
        reply_id = f"{item.metadata.id}.{number}"
        reply = reply_record(item, message, reply_id, self._serde, self._now_ms, encoded)
        if reply is not None:
            out.append(reply)
