"""A unit's transactions: outputs and positions, all or nothing, and the positions that are still to be sent (K2, K12).

It also keeps where reading stands: for each partition that is served, the position that was committed last and the one
that the next commit names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import structlog

from eventstore.clock import Clock
from eventstore.log.errors import DataRefused, InvalidRecord, MessageTooLarge, TopicMissing
from eventstore.log.port import Batch, Log, Transactor
from eventstore.log.records import Position, TopicPartition
from eventstore.processor.inputs import AnswerOut, Outgoing
from eventstore.processor.topics import DAY_MS

log = structlog.get_logger()

POSITION_MS = 1_000
"""How long positions that moved without output may stay uncommitted."""


class Commits:
    """The transactor of one unit, and the positions that it commits."""

    def __init__(self, log: Log, clock: Clock, transactional_id: str, metadata: str) -> None:
        """`metadata` goes with every position: it names this unit to a successor (K5)."""
        self._log, self._clock, self.transactional_id, self._metadata = log, clock, transactional_id, metadata
        self.transactor: Transactor | None = None
        self.positions: dict[TopicPartition, int] = {}
        """Where each served partition is read next."""
        self._sent: dict[TopicPartition, int] = {}
        self._sent_ms = self._recommitted_ms = clock.now_ms()
        self._places: set[tuple[str, int]] = set()
        """Partitions that records can be written to, as far as was asked since the transactional id was taken."""

    def open(self) -> None:
        """Take the transactional id. Whoever had it is fenced."""
        self._places.clear()
        self.transactor = self._log.transactor(self.transactional_id)

    def close(self) -> None:
        """Give up what is under way."""
        if self.transactor is not None:
            self.transactor.close()

    def rest(self) -> None:
        """There is nothing to commit now."""
        if self.transactor is not None:
            self.transactor.rest()

    def abort(self) -> None:
        """Nothing of the transaction happens."""
        assert self.transactor is not None, "a batch was open"
        self.transactor.abort()

    def take(self, at: TopicPartition, position: int) -> None:
        """A partition is served from its committed position."""
        self.positions[at] = self._sent[at] = position

    def forget(self, at: TopicPartition) -> None:
        """A partition is not served any more."""
        self.positions.pop(at, None)
        self._sent.pop(at, None)

    def is_behind(self) -> bool:
        """Whether positions moved that no commit named yet."""
        return self._sent != self.positions

    def is_due(self) -> bool:
        """Whether positions are to be sent without output: those that moved once a second, all once a day (K12)."""
        now_ms = self._clock.now_ms()
        if now_ms - self._recommitted_ms > DAY_MS:
            self._recommitted_ms = now_ms
            self._sent = {}
        return self.is_behind() and now_ms - self._sent_ms >= POSITION_MS

    def commit(
        self,
        batch: Batch,
        written: Collection[TopicPartition] = (),
        out: Sequence[Outgoing] = (),
        meanwhile: Callable[[], None] | None = None,
    ) -> dict[TopicPartition, int]:
        """One transaction: the outputs, and the position of every partition that moved or is written to (K2).

        `meanwhile` is done while the log is busy with it. It raises nothing.

        Returns the offset of the last record per partition that it wrote.

        Raises:
            TransactionAborted: nothing of it happened; `DataRefused`: because of what a record holds.
            OutcomeUnknown: only the log knows whether it happened.
            Fenced: another unit has the transactional id; nothing of it happened.
        """
        transactor = self.transactor
        assert transactor is not None, "open() comes first"
        moved = {at for at, position in self.positions.items() if self._sent.get(at) != position}
        read = {(record.topic, record.partition) for record in batch.records}
        touched = moved.union(written, (TopicPartition(*at) for at in read))
        positions = {at: Position(self.positions[at], self._metadata) for at in touched if at in self.positions}
        if not positions:
            return {}
        transactor.begin()
        try:
            transactor.produce_all(self._with_a_place(out))
        except (MessageTooLarge, InvalidRecord) as error:
            raise DataRefused(str(error)) from error
        ends = transactor.commit(positions, batch.member, meanwhile)
        self._sent.update((at, position.offset) for at, position in positions.items())
        self._sent_ms = self._clock.now_ms()
        return ends

    def commit_least(
        self,
        batch: Batch,
        written: Collection[TopicPartition],
        out: Sequence[Outgoing],
        meanwhile: Callable[[], None] | None = None,
    ) -> dict[TopicPartition, int]:
        """As `commit`, of a batch that cannot be smaller. If a record of it is refused, once more without answers: they
        go where others say.

        Raises: see `commit`.
        """
        places = {record[:2] for record in out if isinstance(record, AnswerOut)}
        without = [record for record in out if not isinstance(record, AnswerOut)]
        try:
            return self.commit(batch, written, out, meanwhile)
        except DataRefused as error:
            if not places:
                raise
            self.abort()
            log.warning("answers_dropped", why=str(error), places=sorted(places)[:10])
            return self.commit(batch, written, without)

    def _with_a_place(self, out: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """The records but answers to partitions that do not exist: whoever asked has gone with its topic.

        One such record would make the whole unit fail, and its inputs come again for ever.

        Raises:
            TopicMissing: the topic of anything else is gone: of an event, a state, a command, a dead letter; nothing
                is dropped.
        """
        unknown = {(record[0], record[1]) for record in out} - self._places
        if not unknown:
            return out
        described = self._log.describe({topic for topic, _ in unknown})
        found = {at for at in unknown if at[0] in described and 0 <= at[1] < described[at[0]].partitions}
        self._places |= found
        if not (missing := unknown - found):
            return out
        for record in out:
            if (record[0], record[1]) in missing and not isinstance(record, AnswerOut):
                raise TopicMissing(record[0])
        log.warning("answers_dropped", why="there is no such partition", places=sorted(missing)[:10])
        return [record for record in out if (record[0], record[1]) not in missing]
