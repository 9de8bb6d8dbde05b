"""Ask processors from anywhere: locally if this process serves the key's partition, else over the log (K10).

An answer from afar comes back on this process's partition of `<service>.replies`, which it reads from the end that was
seen before the first question was sent. A question that was local when it was asked goes to the inbox, under the same
id, when its partition moves away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from uuid import uuid4
from zlib import crc32

import structlog

from eventstore.clock import seconds_of
from eventstore.component import ASK_PATIENCE, Host
from eventstore.errors import AskTimedOut, IdReused, InputFailed
from eventstore.ids import unique_id
from eventstore.log.errors import LogClosed, LogError
from eventstore.log.partition import partition_of
from eventstore.log.port import Producer, Reader
from eventstore.log.records import Headers, Topic, TopicPartition
from eventstore.processor import clock_check
from eventstore.processor.append_call import Answer, AppendsNotTaken, Landed
from eventstore.processor.clock_check import ClockCheck
from eventstore.processor.inputs import Answered, AnyCall, Call
from eventstore.processor.mailbox import Mailbox
from eventstore.processor.parts import ROOM_BYTES, split
from eventstore.processor.routes import Routes
from eventstore.processor.topics import inbox_of, replies_of
from eventstore.processor.unit import Unit
from eventstore.processor.waiting import Line, Waiting
from schemas import Failure, Message, Metadata, Nothing, ReplyTo, SchemaError
from schemas.messages import check_key

log = structlog.get_logger()

REPLY_RETENTION_MS = 60 * 60 * 1000
RECORDS_AT_ONCE = 500
ID_MAX = 1_000
UNCONNECTED = "there is no connection to the log now: ask again with the same id"
GONE = (
    "the process that had the embedded log is gone, or gave it to another: leave this client (or service) and begin "
    "another one, which asks again with the same id"
)


class Asking:
    """Questions under way, and the loop that reads their answers."""

    name = "replies"

    def __init__(
        self, host: Host, unit: Callable[[], Unit | None], refused: Callable[[str], str], others: Sequence[str] = ()
    ) -> None:
        """`unit`: the process's unit, None while it has none. `refused`: why this process does not serve a processor
        that it hosts, as the end of a message; empty if it does, or does not host it. `others`: inboxes that only their
        own service makes."""
        self._host, self._unit, self._refused, self._routes = host, unit, refused, Routes(host.log, others)
        self._waiting: Waiting[Answer | Landed] = Waiting()
        self._home: TopicPartition | None = None
        self._next: int | None = None
        """Where to read on when the loop failed and starts again."""
        self._is_closed = False
        self._is_gone = False
        """Whether the log was closed for good: an embedded one whose owner ended."""
        self._unanswered = 0
        self._clock_check = ClockCheck(host.clock)
        self._reader: Reader | None = None
        self._producer: Producer | None = None

    async def ask(
        self,
        to: str,
        key: str,
        message: Message,
        *,
        id: str | None = None,
        timeout: timedelta = ASK_PATIENCE,
        content: int = 0,
    ) -> Answer:
        """The answer, and where the events topic of `to` stood after its batch, where that is known.

        `content` tells the message from others under the same id (see `eventstore.content`).

        Raises: see `Runtime.ask`.
        """
        if id is not None and not 1 <= len(id) <= ID_MAX:
            raise ValueError(f"an id of {len(id)} characters: 1 to {ID_MAX} are taken, every event carries it")
        check_key(key)
        correlation, line = unique_id(), self.line(seconds_of(timeout))
        future = line.join(correlation)
        try:
            if self.partitions(to) is None:
                await self.learn(to, future)
            self.put(self._call(to, key, message, id or correlation, correlation, content))
            answered = await future
        except TimeoutError:
            raise self.timed_out(to, f"{message.__type_name__} for {to} {key!r}", line.patience_s) from None
        finally:
            line.leave(correlation)
        return answer_of(to, answered)

    def line(self, patience_s: float) -> Line[Answer | Landed]:
        """Where callers of the running loop wait that are so patient."""
        return self._waiting.line(patience_s)

    def partitions(self, to: str) -> int | None:
        """How many partitions an inbox has; None if that is to be learned."""
        return self._routes.known(inbox_of(to))

    async def learn(self, to: str, future: asyncio.Future[Answer | Landed]) -> None:
        """Ask for the partitions of an inbox, until the question itself has come to its end."""
        count = asyncio.ensure_future(asyncio.to_thread(self._routes.count, inbox_of(to)))
        try:
            await asyncio.wait((count, future), return_when=asyncio.FIRST_COMPLETED)
            await (future if future.done() else count)
        finally:
            count.cancel()

    def home(self) -> TopicPartition:
        """Where answers from afar come back.

        Raises:
            LogClosed: nothing is answered any more.
        """
        if self._home is None or self._is_closed:
            raise LogClosed("the service does not run: use it inside `async with`")
        return self._home

    def timed_out(self, to: str, what: str, seconds: float) -> AskTimedOut:
        """The error of a question to `to` that was not answered in time."""
        self._unanswered += 1
        return AskTimedOut(what, seconds, why=self._refused(to))

    def put(self, call: AnyCall) -> None:
        """Let a call join this process's next batch if it serves the key, else send it."""
        unit = self._unit()
        if unit is not None and unit.has(call.at):
            unit.call(call)
        else:
            self.send(call)

    def _call(self, to: str, key: str, message: Message, id_: str, correlation: str, content: int) -> Call:
        reply, count = ReplyTo(*self.home(), correlation), self._routes.count(inbox_of(to))
        metadata = Metadata(id=id_, type=message.__type_name__, correlation=correlation, reply=reply, content=content)
        return Call(to, key, partition_of(key, count), message, metadata, self.resolve)

    def send(self, call: AnyCall) -> None:
        """Put a call into the inbox, from any thread; its answer comes as if it had been remote from the start."""
        producer = self._producer
        correlation = call.correlation
        if producer is None:
            self._fail(correlation, LogClosed(GONE if self._is_gone else UNCONNECTED))
            return

        def delivered(error: LogError | None, _: int) -> None:
            if error is not None:
                self._fail(correlation, error)

        headers = (("meta", call.metadata.encode()),)
        try:
            for value in self._values(call):
                producer.produce(
                    inbox_of(call.processor), call.partition, call.key.encode(), value, headers, on_delivery=delivered
                )
        except (LogError, SchemaError) as error:  # the caller's, not the loop's that passes the call on
            self._fail(correlation, error)

    def _values(self, call: AnyCall) -> list[bytes]:
        """What is put into the inbox: the message, in parts if it is too large for a record and may be split."""
        encode, limit = self._host.serde.encode, self._host.log.message_max_bytes
        message = call.message
        value = encode(message)
        if len(value) + ROOM_BYTES <= limit or not getattr(type(message), "may_be_split", False):
            return [value]
        return [encode(part) for part in split(value, call.key, limit)]

    # The loop

    def open(self) -> None:
        try:
            self._open()
        except LogClosed as gone:  # of an embedded log: the process that owned it is gone, and nothing brings answers
            self._is_gone = True
            self._tell_all(gone)
            raise

    def _open(self) -> None:
        log_, topic = self._host.log, replies_of(self._host.service)
        log_.create([Topic(name=topic, retention_ms=REPLY_RETENTION_MS, settings=clock_check.SETTINGS)])
        home = self._home or TopicPartition(topic, crc32(uuid4().bytes) % log_.describe([topic])[topic].partitions)
        ends = log_.end_positions([home], isolation="uncommitted")
        self._reader = log_.reader(ends if self._next is None else {home: self._next})
        self._producer = log_.producer()
        self._home = home

    def step(self, timeout: float) -> bool:
        reader, producer = self._reader, self._producer
        assert reader is not None, "open() comes first"
        assert producer is not None, "open() comes first"
        assert self._home is not None, "open() comes first"
        if (question := self._clock_check.question()) is not None:
            producer.produce(*self._home, clock_check.KEY, question)
        producer.poll(0)
        try:
            records = reader.read(RECORDS_AT_ONCE, timeout)
        except LogClosed:
            self._is_gone = True
            raise
        for record in records:
            if record.key == clock_check.KEY:
                self._clock_check.take(record)
            else:
                self._take(record.headers, record.value)
        return bool(records)

    def is_ready(self) -> bool:
        return self._reader is not None

    def is_settled(self) -> bool:
        return not self._waiting

    def metrics(self) -> Mapping[str, float]:
        waiting, unanswered = float(len(self._waiting)), float(self._unanswered)
        return {
            "questions_waiting": waiting,
            "questions_unanswered_total": unanswered,
            "clock_ahead_seconds": self._clock_check.ahead_seconds,
        }

    def stop(self, deadline: float) -> None:
        """Release the connections. Questions wait on: the loop may start again, and reads on where it stood."""
        reader, self._reader = self._reader, None
        producer, self._producer = self._producer, None
        try:
            if reader is not None and self._home is not None:
                self._next = reader.position(self._home)
                reader.close()
        finally:
            if producer is not None:
                producer.close()

    def close(self) -> None:
        """Nothing is answered any more: tell those who wait."""
        self._is_closed = True
        self._tell_all(LogClosed("the service stopped before the answer came: ask again with the same id"))

    def _take(self, headers: Headers, value: bytes | None) -> None:
        """Hand an answer to whoever waits for it; this partition is shared with other processes' answers."""
        try:
            correlation = Metadata.decode(dict(headers)["meta"]).correlation
        except (KeyError, SchemaError) as error:
            log.warning("reply_unreadable", error=type(error).__name__, detail=str(error))
            return
        if value is not None and self._waiting.find(correlation) is not None:
            try:
                self._waiting.tell(correlation, (self._host.serde.decode(value), None))
            except SchemaError as error:
                self._fail(correlation, error)

    def resolve(self, answers: Sequence[Answered]) -> None:
        """Local calls were committed. If one was not answered, the answer comes to the call's address later."""
        given: dict[Mailbox[Answer | Landed], list[tuple[asyncio.Future[Answer | Landed], Answer]]] = {}
        for answered in answers:
            call = answered.call
            waiting = self._waiting.find(call.correlation)
            if waiting is not None and answered.replied:
                positions = None if answered.position < 0 else {call.partition: answered.position}
                given.setdefault(waiting[1], []).append((waiting[0], (answered.message, positions)))
        for mailbox, results in given.items():
            mailbox.put_all(results)

    def _tell_all(self, error: LogClosed) -> None:
        for correlation in self._waiting.correlations():
            self._fail(correlation, error)

    def _fail(self, correlation: str, error: BaseException) -> None:
        self._waiting.tell(correlation, error)


def answer_of(to: str, answered: Answer | Landed) -> Answer:
    """What a processor said.

    Raises:
        InputFailed: that it failed.
        IdReused: that it did something else under this id.
        AppendsNotTaken: that it is no store.
    """
    assert not isinstance(answered, Landed), "only appends of this process land"
    answer, positions = answered
    if isinstance(answer, Failure):
        if answer.error == IdReused.__name__:
            raise IdReused(to, answer.detail)
        if answer.error == AppendsNotTaken.__name__:
            raise AppendsNotTaken(to)
        raise InputFailed(to, f"{answer.error}: {answer.detail}")
    return (None if isinstance(answer, Nothing) else answer), positions
