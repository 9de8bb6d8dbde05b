"""One served partition of one processor: its entities, what it knows of earlier inputs, and the batch under way.

Everything a batch changes is kept here until its transaction is committed; `applied` then turns it into one write of
rows, and `dropped` forgets it (K6).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import msgspec
import structlog

from eventstore.log.errors import InvalidRecord, LogError, MessageTooLarge
from eventstore.processor.append_call import WRITES
from eventstore.processor.appends import Appends
from eventstore.processor.context import InputContext
from eventstore.processor.counts import EntityCounts
from eventstore.processor.entities import Entities, Entity
from eventstore.processor.envelopes import send_reply
from eventstore.processor.erasing import Erasing
from eventstore.processor.guard import Guard, Verdict
from eventstore.processor.importing import ImportDone, ImportEvents, Imports
from eventstore.processor.index import StreamIndex
from eventstore.processor.inputs import Answered, Input, Outgoing
from eventstore.processor.outcomes import Outcomes
from eventstore.processor.port import NotKnownHere, Processor, Stateless
from eventstore.processor.routes import Routes
from eventstore.processor.rows import Outcome, SyncedTo
from eventstore.processor.snapshots import Snapshotting
from eventstore.processor.snapshotting import OfferSnapshot, PartitionSnapshots
from eventstore.processor.steady import SteadyTime
from eventstore.processor.timers import Timers
from eventstore.processor.tombstones import Erasures
from eventstore.processor.topics import inbox_of
from eventstore.processor.undecided import Undecided
from eventstore.processor.writes import Writes
from eventstore.raised import FROM_OUTSIDE
from eventstore.state.buffered import BufferedState
from eventstore.state.errors import StateError
from eventstore.state.port import Row, State
from schemas import Event, Handled, Message, Metadata, SchemaError, Serde

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
        counts: EntityCounts,
        monotonic: Callable[[], float],
    ) -> None:
        """`monotonic` measures how long folding takes, and what time has passed, in seconds."""
        self.processor, self.number, self.state = processor, number, (state := BufferedState(state, monotonic))
        self.inbox = (inbox_of(processor.name), number)
        self._group, self._serde, self._routes = group, serde, routes
        self._limit = routes.message_max_bytes
        self._writes = Writes(processor.name, number, state, synced)
        self.index = StreamIndex(state, counts)
        self.timers = Timers(state)
        self._outcomes, self._passed = Outcomes(state), SteadyTime(synced.synced_ms, monotonic)
        self._guard = Guard(state)
        self.undecided = Undecided(
            processor.name, number, group, state, serde, self._writes, self._outcomes, self._guard, self.timers,
            self._limit, counts.raised,
        )  # fmt: skip
        self._erasures = Erasures(state)
        form = processor.snapshots if isinstance(processor, Snapshotting) else None
        self._snapshots = PartitionSnapshots(form, state, self._writes, self._erasures, counts, monotonic, self._limit)
        self._erasing = Erasing(self._erasures, self._snapshots, self._writes, self.index)
        self._entities = Entities(processor, serde, self.index, self._erasures, self._snapshots, counts)
        self._imports = Imports(serde, self._writes, self._erasures, decode=not isinstance(processor, Stateless))
        self._of_kernel: dict[type[Message], Callable[[Input, Any, list[Outgoing]], Answered | None]] = {
            ImportEvents: self._import,
            OfferSnapshot: self._keep_offered,
        }
        if not isinstance(processor, Stateless):
            self._of_kernel |= dict.fromkeys(WRITES, self.undecided.no_store)
        self._touched: dict[str, list[Event | None]] = {}
        """The entities that the batch may change, with their events."""
        self.appends = Appends(serde, self._writes, self._outcomes, self.undecided, self._entities, self._touched)
        self._now_ms = 0
        self._input: InputContext[S] = InputContext(processor, serde, routes, self.index, self.inbox)

    def at(self, now_ms: int) -> None:
        """Set the batch's time."""
        self._writes.now_ms = self._now_ms = now_ms
        self._input.at(datetime.fromtimestamp(now_ms / 1000, UTC), now_ms)

    def touches(self, key: str) -> bool:
        """Whether the batch under way may change the entity. Any thread."""
        return key in self._touched

    def is_changed(self) -> bool:
        """Whether the batch has something to write."""
        return bool(self._writes)

    def handle(self, item: Input, out: list[Outgoing]) -> Answered | None:
        """Decide on one input; records go to `out`. Returns what a local caller shall learn."""
        known = self._outcomes.find(item.metadata.id)
        if known is not None:
            return self.undecided.repeated(item, known, out)
        of_kernel = self._of_kernel.get(type(item.message))
        verdict = Verdict.DECIDE if of_kernel is not None else self._guard.ask(item.metadata)
        if verdict is not Verdict.DECIDE:
            return self.undecided.guarded(item, verdict, out)
        try:
            entity = self._entities.get(item.key, self._touched.get(item.key, ()))
        except Exception as error:  # noqa: BLE001 - whatever an upcast or `@evolve` raises
            return self.undecided.unfolded(item, error, out)
        if of_kernel is not None:
            return of_kernel(item, item.message, out)
        return self._decide_on(item, entity, out)

    def _decide_on(self, item: Input, entity: Entity[S], out: list[Outgoing]) -> Answered | None:
        context = self._context(item, entity)
        try:
            self.processor.decide(entity.state, item.message, context)
            answer = context.encoded_answer()
        except (StateError, MemoryError, *FROM_OUTSIDE):
            raise
        except NotKnownHere as unknown:
            self._entities.forget(item.key)
            return self.undecided.unknown(item, unknown, out)
        except BaseException as error:
            self._entities.forget(item.key)
            if isinstance(error, LogError) and not isinstance(error, (MessageTooLarge, InvalidRecord)):
                raise
            return self.undecided.poison(item, error, out)
        return self._absorb(item, entity, context, answer, out)

    def forwarded(self, item: Input, out: list[Outgoing]) -> bool:
        """K11: a record that a foreign producer put on the wrong partition goes to the right one."""
        if self._entities.find(item.key) is not None:  # then its key was looked at before
            return False
        right = self._routes.partition(self.inbox[0], item.key)
        record = item.record
        if right == self.number or record is None:
            return False
        log.warning("record_forwarded", topic=self.inbox[0], partition=self.number, to=right, offset=record.offset)
        out.append((self.inbox[0], right, record.key, record.value, record.headers, record.timestamp_ms))
        return True

    def sweep(self, out: list[Outgoing]) -> None:
        """Once per batch: take the snapshots that are due (E3), forget some of the outcomes that no repeat can ask for
        any more (K1)."""
        for entity_key in self._snapshots.due():
            entity = self._entities.find(entity_key)
            if entity is not None:  # else what was decided last on it is not to be kept
                self._touched.setdefault(entity_key, [])
                entity.due = self._snapshots.take(entity_key, entity.state, entity.version, out)
        for key, is_journaled in self._outcomes.expired(self._passed.not_ahead(self._now_ms)):
            if is_journaled:
                self._journal((key, None), out)
            else:
                self._writes.set([(key, None)])

    def is_erasing(self, now_ms: int) -> bool:
        """Whether tombstones of erased events are to be written. Any thread may ask."""
        return self._erasures.are_due(now_ms)

    def tombstone(self, out: list[Outgoing]) -> None:
        """Write some of the tombstones that are to be written (E2), after all events of the batch."""
        self._erasing.tombstone(out)

    def prepare(self) -> None:
        """While the batch is being committed: make its rows, and write those of earlier ones. Raises nothing."""
        self._writes.prepare()
        self.state.relieve()

    def applied(self, ends: dict[str, int]) -> Mapping[bytes, bytes | None]:
        """The rows of the committed batch. `ends`: offset of the last record per journal topic, where there was one."""
        rows = self._writes.applied(ends)
        self._erasures.applied()
        self._end_batch()
        return rows

    def dropped(self) -> None:
        """Forget the batch: nothing of it happened."""
        for key in self._touched:
            self._entities.forget(key)
        self._writes.forget()
        self._erasures.dropped()
        self._end_batch()
        self.timers.reload()

    def _end_batch(self) -> None:
        self._touched.clear()
        self.appends.end_batch()
        self._outcomes.forget_batch()
        self._guard.forget_batch()
        self._entities.trim()

    def _context(self, item: Input, entity: Entity[S]) -> InputContext[S]:
        self._input.begin(item.key, item.metadata, entity.state, entity.version, entity.first)
        return self._input

    def _absorb(
        self, item: Input, entity: Entity[S], context: InputContext[S], answer: bytes | None, out: list[Outgoing]
    ) -> Answered | None:
        """Make what the decision put out part of the batch."""
        self._writes.step += 1
        entity.state, entity.version = context.state, context.version
        if entity.version >= entity.due:
            self._snapshots.note(item.key)
        if item.timer and item.timer not in context.timers:
            context.cancelled.add(item.timer)
        if context.events:
            self._absorb_events(item, context, answer, out)
        elif answer is not None or context.sent or context.timers or context.cancelled or context.first > entity.first:
            self._absorb_quietly(item, context, answer, out)
        if context.first > entity.first:
            self._erasing.erase(item.key, context.first, context.version, out)
            self._entities.forget(item.key)
        if context.timers or context.cancelled:
            self._absorb_timers(item.key, context)
        if context.sent:
            out.extend(context.sent)
        if context.answered:
            number = "reply" if context.answer_is_final else f"reply-{self._writes.step}"
            send_reply(item, context.answer, number, self._serde, self._now_ms, out, answer)
        return None if item.call is None else Answered(item.call, context.answer, context.answered)

    def _absorb_events(self, item: Input, context: InputContext[S], answer: bytes | None, out: list[Outgoing]) -> None:
        """K1: the commit's last event says what a successor needs of the input."""
        given, stream = item.metadata, item.key.encode()
        touched = self._touched.setdefault(item.key, [])
        first, last = context.version - len(context.events) + 1, len(context.events) - 1
        done = Handled(step=self._writes.step, input=given.id, answer=answer, content=given.content)
        if context.timers or context.cancelled:
            timers = [(name, due, payload) for name, (due, payload) in context.timers.items()]
            done = msgspec.structs.replace(done, timers=timers, cancelled=sorted(context.cancelled))
        for place, (type_name, value, event) in enumerate(context.events):
            meta = Metadata(
                id=f"{given.id}.{place}", type=type_name, correlation=given.correlation or given.id,
                causation=given.id, commit=given.id, index=place, attributes=given.attributes,
                done=done if place == last else None,
            ).encode()  # fmt: skip
            self._writes.event(stream, first + place, meta, value, out)
            touched.append(event)
        outcome = self._outcomes.remember(
            given.id, Outcome(self._writes.step, self._now_ms, answer, False, given.content)
        )
        self._writes.set((outcome,))
        if given.attributes:
            self._writes.set(self._guard.absorb(given, context.answer))

    def _import(self, item: Input, given: ImportEvents, out: list[Outgoing]) -> Answered | None:
        """Append events as they were recorded elsewhere, with nothing to decide."""
        self._writes.step += 1
        entity = self._entities.get(item.key, self._touched.get(item.key, ()))
        if (lost := given.lost(entity.version, entity.first)) is not None:
            send_reply(item, lost, f"reply-{self._writes.step}", self._serde, self._now_ms, out)
            return None if item.call is None else Answered(item.call, lost, True)
        try:
            events = self._imports.absorb(item.key, given, self._writes.step, out, is_new=entity.version == -1)
        except SchemaError as error:
            return self.undecided.poison(item, error, out)
        self._touched.setdefault(item.key, []).extend(events)
        self._entities.forget(item.key)
        done = ImportDone(version=given.first + len(events) - 1)
        answer = self._serde.encode(done)
        outcome = Outcome(self._writes.step, self._now_ms, answer, True)
        self._journal(self._outcomes.remember(item.metadata.id, outcome), out)
        send_reply(item, done, "reply", self._serde, self._now_ms, out, answer)
        return None if item.call is None else Answered(item.call, done, True)

    def _keep_offered(self, item: Input, given: OfferSnapshot, out: list[Outgoing]) -> Answered | None:
        """E3: who folded a stream, to load it, offers what came of it."""
        self._writes.step += 1
        head = self._entities.get(item.key, self._touched.get(item.key, ())).version
        answer = self._snapshots.offered(item.key, given, head, out)
        send_reply(item, answer, f"reply-{self._writes.step}", self._serde, self._now_ms, out)
        return None if item.call is None else Answered(item.call, answer, True)

    def _absorb_quietly(self, item: Input, context: InputContext[S], answer: bytes | None, out: list[Outgoing]) -> None:
        """K1: an input without events leaves its outcome, timers and guard in the state topic."""
        self._touched.setdefault(item.key, [])
        outcome = Outcome(self._writes.step, self._now_ms, answer, True, item.metadata.content)
        rows = [
            self._outcomes.remember(item.metadata.id, outcome),
            *self.timers.rows(item.key, self._writes.step, context.timers, context.cancelled),
            *self._guard.absorb(item.metadata, context.answer),
        ]
        for row in rows:
            self._journal(row, out)

    def _journal(self, row: Row, out: list[Outgoing]) -> None:
        self._writes.journal(row, out)

    def _absorb_timers(self, key: str, context: InputContext[S]) -> None:
        self._writes.set(self.timers.rows(key, self._writes.step, context.timers, context.cancelled))
        self.timers.change(key, self._writes.step, context.timers, context.cancelled)
