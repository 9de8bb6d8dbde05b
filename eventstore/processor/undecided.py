"""Inputs of one partition that are not decided on: each is answered, or kept, all the same.

A repeat gets the answer of the first (K8). A late do of a saga is refused, and the undo of what was never done has
nothing to do (P2). What fails by its own fault is dead-lettered (K7). What this code does not know is stashed until an
owner does, and a timer stays set (K7).
"""

from __future__ import annotations

import structlog

from eventstore.content import differ
from eventstore.errors import IdReused
from eventstore.log.errors import LogError
from eventstore.log.records import Record
from eventstore.processor.append_call import AppendsNotTaken
from eventstore.processor.envelopes import dead_letter_record, send_reply
from eventstore.processor.guard import Guard, Verdict
from eventstore.processor.inputs import Answered, Input, Outgoing
from eventstore.processor.outcomes import Outcomes
from eventstore.processor.port import NotKnownHere
from eventstore.processor.rows import Outcome
from eventstore.processor.stash import Stash
from eventstore.processor.timers import Timers
from eventstore.processor.topics import inbox_of
from eventstore.processor.writes import Writes
from eventstore.raised import Raised, traceback_of
from eventstore.state.errors import StateError
from eventstore.state.port import State
from schemas import Failure, Message, Nothing, SchemaError, Serde, UnknownType
from schemas.error_text import error_text

log = structlog.get_logger()


class Undecided:
    """What becomes of them, as part of the batch. One thread."""

    def __init__(
        self,
        processor: str,
        number: int,
        group: str,
        state: State,
        serde: Serde,
        writes: Writes,
        outcomes: Outcomes,
        guard: Guard,
        timers: Timers,
        record_bytes: int,
        raised: Raised,
    ) -> None:
        self._processor, self._number, self._group, self._inbox = (
            processor,
            number,
            group,
            (inbox_of(processor), number),
        )
        self._serde, self._writes, self._record_bytes, self._raised = serde, writes, record_bytes, raised
        self._outcomes, self._guard, self._timers = outcomes, guard, timers
        self._stash = Stash(state, serde, *self._inbox)

    def repeated(self, item: Input, known: Outcome, out: list[Outgoing]) -> Answered | None:
        """K8: a repeat gets the stored reply, unless it says something else than the first."""
        if differ(known.content, item.metadata.content, self._serde):
            return self._reused(item, out)
        answer = known.answer
        message: Message | None = None
        if answer is not None:
            try:
                message = self._serde.decode(answer)
            except SchemaError as error:
                message = _unread(error)  # who asked from elsewhere gets the bytes, and may know more
            message = None if isinstance(message, Nothing) else message
            send_reply(item, message, "reply", self._serde, self._writes.now_ms, out, answer)
        return None if item.call is None else Answered(item.call, message, answer is not None)

    def _reused(self, item: Input, out: list[Outgoing]) -> Answered | None:
        """Nothing happens; who asked is told."""
        self._writes.step += 1
        failure = Failure(error=IdReused.__name__, detail=item.metadata.id, final=True)
        return self._declined(item, failure, "reused", out)

    def no_store(self, item: Input, _: Message, out: list[Outgoing]) -> Answered | None:
        """Refuse what only a store takes. Nothing is kept of it, and nobody needs a dead letter."""
        self._writes.step += 1
        return self._declined(item, Failure(error=AppendsNotTaken.__name__, detail=self._processor), "no-store", out)

    def _declined(self, item: Input, failure: Failure, number: str, out: list[Outgoing]) -> Answered | None:
        send_reply(item, failure, f"{number}-{self._writes.step}", self._serde, self._writes.now_ms, out)
        return None if item.call is None else Answered(item.call, failure, True)

    def guarded(self, item: Input, verdict: Verdict, out: list[Outgoing]) -> Answered | None:
        """P2: a late do is refused; the undo of what was never done has nothing to do."""
        late = Failure(error="LateDo", detail="its undo was handled before", final=True)
        answer = late if verdict is Verdict.LATE_DO else None
        writes = self._writes
        writes.step += 1
        encoded = self._serde.encode(Nothing() if answer is None else answer)
        outcome = Outcome(writes.step, writes.now_ms, encoded, True)
        writes.journal(self._outcomes.remember(item.metadata.id, outcome), out)
        for row in self._guard.absorb(item.metadata, answer):
            writes.journal(row, out)
        send_reply(item, answer, "reply", self._serde, writes.now_ms, out, encoded)
        return None if item.call is None else Answered(item.call, answer, True)

    def poison(self, item: Input, error: BaseException, out: list[Outgoing]) -> Answered | None:
        """Dead-letter an input that failed by its own fault, and answer its caller (K7)."""
        self._tell(item, error)
        writes = self._writes
        writes.step += 1  # each failure is an answer of its own
        failure = Failure(error=type(error).__name__, detail=error_text(error)[:2000], final=False)
        if "saga" not in item.metadata.attributes:
            letter = dead_letter_record(
                item, error, self._inbox, self._group, self._serde, writes.now_ms, self._record_bytes
            )
            out.append(letter)
        send_reply(item, failure, f"failed-{writes.step}", self._serde, writes.now_ms, out)
        self._clear_timer(item, out)
        return None if item.call is None else Answered(item.call, failure, True)

    def unfolded(self, item: Input, error: Exception, out: list[Outgoing]) -> Answered | None:
        """K7: what the entity became cannot be told, since newer code wrote it, or an upcast or `@evolve` failed.

        It is the affair of this entity alone. What may be over soon, or is of log, disk or memory, is raised.
        """
        if isinstance(error, StateError | LogError | MemoryError) or getattr(error, "is_retryable", False):
            raise error
        if isinstance(error, UnknownType | NotKnownHere):
            return self.unknown(item, error, out)
        return self.poison(item, error, out)

    def unknown(self, item: Input, error: Exception, out: list[Outgoing]) -> Answered | None:
        """K7: newer code knows what to do. A record and a timer wait for it; a caller here is told."""
        if item.timer:
            self.wait(item, error)
        elif item.record is not None:
            self.stash(item, out)
        else:
            return self.poison(item, error, out)
        return None

    def wait(self, item: Input, error: Exception) -> None:
        """K7: a due timer that this code cannot handle stays set. It is due again when the partition is taken next."""
        log.warning(
            "timer_waits", processor=self._processor, partition=self._number, key=item.key, timer=item.timer,
            error=type(error).__name__, detail=str(error)[:500],
        )  # fmt: skip

    def stash(self, item: Input, out: list[Outgoing]) -> None:
        """K7: keep an input of a type that this code does not know, until an owner does."""
        record = item.record
        assert record is not None, "only records are of unknown type"
        log.warning("record_stashed", topic=self._inbox[0], partition=self._number, type=item.metadata.type)
        self._writes.journal(self._stash.row(item.metadata.id, record), out)

    def stashed(self) -> list[Record]:
        """The stashed inputs whose type this code knows. They are handled like inbox records, and then forgotten."""
        return self._stash.known()

    def release(self, record: Record, out: list[Outgoing]) -> bool:
        """Forget a stashed record, which is handled now. False: it was released before."""
        key = self._stash.find(record)
        if key is None or self._writes.has(key):
            return False
        self._writes.journal((key, None), out)
        return True

    def _tell(self, item: Input, error: BaseException) -> None:
        """A warning per dead letter, the first of its kind with a traceback; one warning for what a saga repeats."""
        is_first = self._raised.is_first(error, self._processor, item.metadata.type)
        say = log.warning if is_first or "saga" not in item.metadata.attributes else log.debug
        say(
            "input_failed", processor=self._processor, partition=self._number, key=item.key,
            type=item.metadata.type, id=item.metadata.id, error=type(error).__name__, detail=error_text(error)[:500],
            **(traceback_of(error) if is_first else {}),
        )  # fmt: skip

    def _clear_timer(self, item: Input, out: list[Outgoing]) -> None:
        """A due timer whose message is poison must not fire again, nor at a successor."""
        if item.timer:
            for row in self._timers.rows(item.key, self._writes.step, {}, {item.timer}):
                self._writes.journal(row, out)
            self._timers.change(item.key, self._writes.step, {}, {item.timer})


def _unread(error: SchemaError) -> Failure:
    """What a caller here is told of a stored answer that only other code can read."""
    return Failure(error=type(error).__name__, detail=f"it was done before; its answer: {error}"[:2000], final=True)
