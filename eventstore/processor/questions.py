"""Questions about the streams of a partition: asked like inputs, answered without a trace in the log.

A question is put into the inbox, or joins a batch as a local call, as an input does. It changes nothing, so it needs no
outcome, and a batch of nothing but questions needs no transaction: the answer to one that came over the log is produced
plainly to the reply address it carries, and whoever asked asks again if it is lost.

A *fenced* question (K15) is answered only after a transaction of this unit that names the question's partition (K2)
and began after the question arrived. A former owner that was stopped cannot commit, so it never answers a fenced one.
What it reads from its index then is the partition as that transaction, or a later one of its own, left it.

Pages are bounded by what a record may hold. One event can be larger than what is left of that for its page: the answer
then only says where in the log it stands.

Not promised: an answer. Questions older than a minute by the owner's clock are dropped, as nobody waits for them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import structlog

from eventstore.component import Host
from eventstore.log.errors import LogError
from eventstore.log.port import Producer
from eventstore.log.records import TopicPartition
from eventstore.processor.index import StreamIndex
from eventstore.processor.inputs import Answered, AnyCall, Input
from eventstore.processor.pages import packed, read_page, size_of
from eventstore.processor.snapshots import Wanted, encode_snapshot
from eventstore.processor.topics import takes_answers
from eventstore.state.errors import StateError
from schemas import Message, Metadata, Reply, Serde
from schemas.schema import TypeName

log = structlog.get_logger()

KEPT_MS = 60_000
"""How old a question may be, by the clocks of asker and owner, and still be answered."""
PAGE_BYTES = 256 * 1024
ANSWER_SECONDS = 0.05
"""How long a step may go on answering; the rest waits for the next one."""
_OVERHEAD_BYTES = 1_024
"""Room for the metadata and the wire format of an answer."""


class ReadPage(Message, name="sagalog.read_page"):
    """Which events of the stream that is the record's key?"""

    after: int
    until: int | None
    backwards: bool
    events: int
    """At most so many; 0 asks for the head alone."""
    fenced: bool
    asked_ms: int
    snapshot: str = ""
    """The aggregate whose snapshot the page may begin with; empty: none."""
    fingerprint: bytes = b""
    """Of the code that would use it."""
    types: dict[str, list[int]] | None = None
    """Names and versions of types: which of them does the owner not take from an import?"""


class PageRead(Reply, name="sagalog.page_read"):
    """A page of events, see `eventstore.processor.pages`."""

    rows: bytes
    head: int
    is_last: bool
    elsewhere: int | None
    """The offset of the next event, which is too large for an answer; `rows` holds none then."""
    snapshot: bytes | None = None
    """The snapshot that the page goes on from, as it is stored."""
    untaken: list[str] | None = None
    """Those of the question's types, such as `order.paid version 1`."""
    version: int | None = None
    """Of the event that stands `elsewhere`: whoever finds it erased there goes on behind it."""


def untaken(types: Mapping[str, Sequence[int]], serde: Serde, *, folds: bool) -> list[str]:
    """The types that an owner with this code cannot have in its history. `folds`: it decodes each event.

    Else they need not be known; but an older version that nothing leads from would keep the owner from starting again.
    """
    named = [TypeName(name, version) for name, versions in types.items() for version in versions]
    refused = [each for each in named if serde.is_left_behind(each) or (folds and not serde.reads(each))]
    return [f"{name} version {version}" for name, version in refused]


class Question(NamedTuple):
    """A question that was asked of a partition."""

    at: TopicPartition
    item: Input
    what: ReadPage


class Asked:
    """The questions of one batch."""

    def __init__(self) -> None:
        self.questions: list[Question] = []

    def add(self, at: TopicPartition, item: Input, what: ReadPage) -> None:
        """An input that is a question: nothing to decide on."""
        self.questions.append(Question(at, item, what))

    @property
    def need_fence(self) -> bool:
        """Whether one of them is to be answered after a transaction only."""
        return any(question.what.fenced for question in self.questions)


class Questions:
    """Answers the questions of a unit's committed batches. One thread."""

    def __init__(
        self,
        host: Host,
        index: Callable[[TopicPartition], StreamIndex | None],
        folds: Callable[[TopicPartition], bool],
        counts: dict[str, float],
        passed_on: Callable[[AnyCall], None],
    ) -> None:
        """`index`: of a partition that is served; `folds`: whether it decodes its events. `passed_on` takes local
        questions of one that is not served any more.
        """
        self._host, self._index, self._folds = host, index, folds
        self._counts, self._passed_on = counts, passed_on
        self._waiting: deque[Question] = deque()
        self._producer: Producer | None = None
        self._record_bytes = host.log.message_max_bytes - _OVERHEAD_BYTES
        counts.update(questions=0.0, questions_dropped=0.0)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, questions: Sequence[Question]) -> None:
        """Questions whose batch was committed, or needed no commit."""
        self._waiting.extend(questions)

    def answer(self) -> None:
        """Answer those that wait, for a while."""
        clock = self._host.clock
        until = clock.monotonic() + ANSWER_SECONDS
        while self._waiting and clock.monotonic() <= until:
            self._answer(self._waiting.popleft())
        if self._producer is not None:
            self._producer.poll(0)

    def close(self) -> None:
        """Leave what waits to other owners; release the connection."""
        waiting, self._waiting = self._waiting, deque()
        for question in waiting:
            self._drop(question)
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()

    def _answer(self, question: Question) -> None:
        index = self._index(question.at)
        if index is None or self._is_old(question):
            self._drop(question)
            return
        try:
            answer = self._page(index, question)
        except StateError:
            self._drop(question)
            raise
        self._counts["questions"] += 1
        call = question.item.call
        if call is not None:
            call.resolve([Answered(call, answer, True)])
        else:
            self._send(question.item.metadata, answer)

    def _page(self, index: StreamIndex, question: Question) -> PageRead:
        what = question.what
        page = read_page(
            index,
            question.item.key,
            after=what.after,
            until=what.until,
            backwards=what.backwards,
            events=what.events,
            page_bytes=min(PAGE_BYTES, self._record_bytes),
            wanted=Wanted(what.snapshot, what.fingerprint) if what.snapshot else None,
        )
        snapshot = None if page.snapshot is None else encode_snapshot(page.snapshot)
        room = self._record_bytes - len(snapshot or b"")
        if page.rows and question.item.call is None and size_of(page.rows[0]) > room:
            alone = page.rows[0]
            return PageRead(
                rows=packed(()), head=page.head, is_last=False, elsewhere=alone.offset, snapshot=snapshot,
                version=alone.version,
            )  # fmt: skip
        return PageRead(
            rows=packed(page.rows),
            head=page.head,
            is_last=page.is_last,
            elsewhere=None,
            snapshot=snapshot,
            untaken=untaken(what.types, self._host.serde, folds=self._folds(question.at)) if what.types else None,
        )

    def _send(self, asked: Metadata, answer: PageRead) -> None:
        to = asked.reply
        if to is None or not takes_answers(to.topic):
            return
        metadata = Metadata(
            id=f"{asked.id}.page", type=answer.__type_name__, correlation=to.correlation, causation=asked.id
        )
        value, headers = self._host.serde.encode(answer), (("meta", metadata.encode()),)
        try:
            if self._producer is None:
                self._producer = self._host.log.producer()
            key = to.key.encode() or None
            self._producer.produce(to.topic, to.partition, key, value, headers, on_delivery=self._delivered)
        except LogError as error:
            self._delivered(error, -1)

    def _delivered(self, error: LogError | None, _: int) -> None:
        """An answer that does not arrive is no failure of the unit: who asked asks again."""
        if error is not None:
            self._counts["questions_dropped"] += 1
            log.warning("answer_not_sent", error=type(error).__name__, detail=str(error)[:500])

    def _is_old(self, question: Question) -> bool:
        return question.item.call is None and self._host.clock.now_ms() - question.what.asked_ms > KEPT_MS

    def _drop(self, question: Question) -> None:
        if question.item.call is not None:
            self._passed_on(question.item.call)
        else:
            self._counts["questions_dropped"] += 1
