"""One served partition of a processor with `journal="state"` (see `eventstore.processor.changelog` for its promises).

It is the kernel's partition with states in place of entities that are folded. Inbox records that nobody waits for take
a short way: they are most of what a counter gets, and need neither an outcome nor a look for one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from eventstore.errors import NoEventsKept
from eventstore.log.records import Record
from eventstore.processor.append_call import WRITES
from eventstore.processor.changelog import PREFIX, Kept, States, header
from eventstore.processor.changelog_context import AsProcessor, StateInputContext
from eventstore.processor.context import OVERHEAD_BYTES, InputContext
from eventstore.processor.counts import EntityCounts
from eventstore.processor.entities import Entity
from eventstore.processor.envelopes import send_reply
from eventstore.processor.importing import ImportEvents
from eventstore.processor.inputs import Answered, Input, Outgoing
from eventstore.processor.partition import Partition
from eventstore.processor.parts import Part
from eventstore.processor.port import StateProcessor
from eventstore.processor.questions import ReadPage
from eventstore.processor.routes import Routes
from eventstore.processor.rows import Outcome, SyncedTo
from eventstore.processor.snapshotting import OfferSnapshot
from eventstore.raised import FROM_OUTSIDE
from eventstore.state.port import State
from schemas import Message, Metadata, Serde

S = TypeVar("S")

_OF_KERNEL: frozenset[type[Message]] = frozenset((ImportEvents, OfferSnapshot, Part, ReadPage, *WRITES))


class StatePartition(Partition[S]):
    """Decides on inputs, in order; one thread."""

    def __init__(
        self,
        processor: StateProcessor[S],
        number: int,
        group: str,
        state: State,
        serde: Serde,
        routes: Routes,
        synced: SyncedTo,
        counts: EntityCounts,
        monotonic: Callable[[], float],
    ) -> None:
        adapted = AsProcessor(processor)
        super().__init__(adapted, number, group, state, serde, routes, synced, counts, monotonic)
        self._of_kernel |= {ImportEvents: self._refuse, OfferSnapshot: self._refuse}
        self._decide = processor.decide
        self._states = self._entities = States(processor, self.state, routes.message_max_bytes - OVERHEAD_BYTES)
        nothing = Kept("", b"", processor.initial(""), None)
        self._state_input = StateInputContext(adapted, self._states, serde, routes, self.index, self.inbox, nothing)

    def at(self, now_ms: int) -> None:
        super().at(now_ms)
        self._state_input.at(self._input.now, now_ms)

    def decide_with_care(self) -> None:
        """Until the batch ends, encode each state after each input: one of them fails."""
        self._states.is_careful = True

    def decide_all(self, records: Sequence[Record], other: Callable[[Record], None], out: list[Outgoing]) -> None:
        """Decide on inbox records of this partition. Those that need more than a decision are given to `other`."""
        states, context, decode, decide = self._states, self._state_input, self._serde.decode, self._decide
        known, put, decode_metadata = states.known, states.put, Metadata.decode
        if states.is_careful:
            for record in records:
                other(record)
            return
        states.fetch(record.key for record in records)
        for record in records:
            try:
                (name, content), raw = record.headers[0], record.key
                metadata, message = decode_metadata(content), decode(record.value)  # type: ignore[arg-type] # see below
                kept = known.get(raw) or self._own(raw)  # type: ignore[arg-type] # see below
            except Exception:  # noqa: BLE001 - whatever is wrong with the record, `other` finds out
                other(record)
                continue
            if kept is None or name != "meta" or type(message) in _OF_KERNEL or _is_asked(metadata):
                other(record)
                continue
            context.begin_on(kept, metadata)
            try:
                state = decide(kept.state, message, context)
            except FROM_OUTSIDE:
                raise
            except BaseException:  # noqa: BLE001 - `other` decides again, and knows what is to become of it
                states.forget(kept.key)
                other(record)
                continue
            put(kept, state)
            if context.sent:
                out += context.sent
            if context.timers or context.cancelled:
                self._set_timers(kept.key, out)
        states.forget_fetched()

    def is_changed(self) -> bool:
        return super().is_changed() or bool(self._states.changed)

    def sweep(self, out: list[Outgoing]) -> None:
        """As the kernel's partition; and write the states that the batch changed, once each (K1)."""
        super().sweep(out)
        if not self._states.changed:
            return
        self._writes.step += 1
        before, journal = header(self._writes.step), self._writes.journal
        for raw, encoded in self._states.encoded():
            journal((PREFIX + raw, None if encoded is None else before + encoded), out)

    def applied(self, ends: dict[str, int]) -> Mapping[bytes, bytes | None]:
        self._states.committed()
        return super().applied(ends)

    def dropped(self) -> None:
        self._touched.clear()  # the states know themselves which of them changed
        super().dropped()
        self._states.dropped()

    def _own(self, raw: bytes) -> Kept[S] | None:
        """The state of a key that is not known; None if it can be no key, or belongs to another partition (K11)."""
        key = raw.decode()
        if "\0" in key:
            return None
        return self._states.load(raw, key) if self._routes.partition(self.inbox[0], key) == self.number else None

    def _context(self, item: Input, entity: Entity[S]) -> InputContext[S]:
        assert isinstance(entity, Kept), "the states of this partition"
        self._state_input.begin_on(entity, item.metadata)
        return self._state_input

    def _absorb(
        self, item: Input, entity: Entity[S], context: InputContext[S], answer: bytes | None, out: list[Outgoing]
    ) -> Answered | None:
        """Make what the decision put out part of the batch. An outcome is kept if somebody waits for it (K8)."""
        assert isinstance(entity, Kept), "the states of this partition"
        assert isinstance(context, StateInputContext), "made above"
        self._writes.step += 1
        if item.timer and item.timer not in context.timers:
            context.cancelled.add(item.timer)
        if (item.call is not None or _is_asked(item.metadata)) and (answer is not None or not context.answered):
            outcome = Outcome(self._writes.step, self._now_ms, answer, True, item.metadata.content)
            self._writes.journal(self._outcomes.remember(item.metadata.id, outcome), out)
        for row in self._guard.absorb(item.metadata, context.answer):
            self._writes.journal(row, out)
        self._set_timers(item.key, out)
        self._states.put(entity, context.after)
        out.extend(context.sent)
        if context.answered:
            number = "reply" if context.answer_is_final else f"reply-{self._writes.step}"
            send_reply(item, context.answer, number, self._serde, self._now_ms, out, answer)
        return None if item.call is None else Answered(item.call, context.answer, context.answered)

    def _refuse(self, item: Input, given: Message, out: list[Outgoing]) -> Answered | None:
        """What is about events."""
        return self.undecided.poison(item, NoEventsKept(self.processor.name, type(given).__name__), out)

    def _set_timers(self, key: str, out: list[Outgoing]) -> None:
        """Take over the timers that the decision set and cancelled."""
        timers, cancelled = self._state_input.timers, self._state_input.cancelled
        if timers or cancelled:
            self._writes.step += 1
            for row in self.timers.rows(key, self._writes.step, timers, cancelled):
                self._writes.journal(row, out)
            self.timers.change(key, self._writes.step, timers, cancelled)


def _is_asked(metadata: Metadata) -> bool:
    """Whether somebody waits for what becomes of the input, and may repeat it."""
    return metadata.reply is not None or (bool(metadata.attributes) and "role" in metadata.attributes)
