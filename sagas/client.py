"""Start sagas and follow them, from any process: one that hosts them, another one, or a client that hosts nothing."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, Literal, Protocol, TypeAlias, cast
from weakref import WeakKeyDictionary

from typing_extensions import TypeVar

from eventstore.clock import seconds_of
from eventstore.component import ASK_PATIENCE, Runtime
from eventstore.errors import AskTimedOut, InputFailed
from sagas.children import I, O
from sagas.definition import Saga, check_is_saga
from sagas.errors import HistoryNotReadable, NotWaitedFor, SagaKeyReused, SagaNotFound, SagaRejected, SagaVersionUnknown
from sagas.messages import (
    AskHistory,
    AskOutcome,
    AskStatus,
    CancelSaga,
    HistoryPage,
    KeyTaken,
    Refused,
    SagaOutcome,
    SagaStatus,
    Signal,
    UnknownSaga,
    start_command,
)
from sagas.orchestrator import processor_messages
from sagas.state import Text, decoded
from sagas.timeline import Happened, lines, timeline
from sagas.waits import M, Wait
from schemas import Event, Message, Refusal, Serde
from schemas.kept_json import kept_json, read_kept
from schemas.personal_fields import personal_names

T_co = TypeVar("T_co", covariant=True, default=None)

Reason: TypeAlias = Refusal | Literal["timed out", "cancelled", "failed"]
"""Why a saga was undone. A deadline that passed is "timed out" too."""

ASK_LIMIT = timedelta(minutes=10)
"""One question for an outcome waits this long; then it is asked again."""


class Hosted(Protocol):
    """What a client works through: a service or a client, while it runs."""

    @property
    def runtime(self) -> Runtime:
        """How messages reach sagas."""
        ...


@dataclass(frozen=True, slots=True)
class Completed(Generic[T_co]):
    """All steps were done."""

    result: T_co


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """Everything that may have happened was undone.

    `reason` is the refusal that a participant answered, or one of these words: "timed out" (no answer in time, nobody
    signalled, or the deadline passed), "cancelled" (somebody asked for it, or the parent was undone), "failed" (a
    handler or a method of the saga raised; `detail` says what).
    """

    step: str
    """Where the saga turned back."""
    reason: Reason
    detail: str = field(default="", compare=False)
    """What was raised, if it failed, such as `KeyError: 'sku'`; the log has the traceback. For people: two outcomes
    that differ in nothing else are equal."""


class Run(Generic[O]):
    """One saga that was started."""

    def __init__(self, hosted: Hosted, saga: type[Saga[Any, O]], key: str) -> None:
        self._hosted, self._saga, self.key = hosted, saga, key

    async def outcome(self, *, timeout: timedelta | None = None) -> Completed[O] | Undone:
        """Wait until the saga has ended; for ever unless `timeout` is given.

        Raises:
            AskTimedOut: it did not end in time. It goes on; ask again.
            SagaNotFound: no saga was started under this key.
        """
        if timeout is not None:
            seconds_of(timeout)
        left, why = timeout, ""
        while left is None or left > timedelta():
            span = ASK_LIMIT if left is None else min(left, ASK_LIMIT)
            try:
                answer = await self._ask(AskOutcome(), timeout=span)
            except AskTimedOut as error:
                left, why = (None if left is None else left - span), error.why
                continue
            return outcome_of(self._saga, answer)
        seconds = (timeout or timedelta()).total_seconds()
        raise AskTimedOut(f"outcome of {self._saga.__saga__}/{self.key}", seconds, why=why)

    async def status(self) -> SagaStatus:
        """How it stands now.

        Raises:
            SagaNotFound: no saga was started under this key.
            AskTimedOut: no owner answered in time.
        """
        answer = await self._ask(AskStatus())
        assert isinstance(answer, SagaStatus)
        return answer

    async def history(self) -> list[Happened]:
        """All that happened so far, in order, as events; `timeline` has it as text.

        Raises:
            SagaNotFound: no saga was started under this key.
            AskTimedOut: no owner answered in time.
        """
        runtime, name = self._hosted.runtime, self._saga.__saga__
        index = runtime.index(name, self.key)
        if index is None:
            return await self._remote_history()
        stored = list(index.read(self.key))
        if not stored:
            raise SagaNotFound(name, self.key)
        return [self._happened(each.version, each.timestamp_ms, each.value) for each in stored]

    async def timeline(self) -> list[str]:
        """All that happened so far, a line per event, as `sagalog saga show` prints it. Raises what `history` does."""
        return lines(timeline(await self.history()))

    async def signal(self, wait: Wait[M, Any], message: M, /) -> None:
        """Give the saga a message that it waits for, or will.

        Raises:
            NotWaitedFor: it has ended, or got one before.
            SagaNotFound: no saga was started under this key.
            PersonalOpen: personal data in the message is not sealed.
        """
        given = Signal(
            wait=wait.name,
            type=message.__type_name__,
            version=message.__type_version__,
            message=kept_json(message),
        )
        answer = await self._ask(given)
        if isinstance(answer, Refused):
            raise NotWaitedFor(self._saga.__saga__, self.key, answer.why)

    async def cancel(self, *, who: str = "", why: str = "") -> bool:
        """Have the saga undone; False if it is too late, because its pivot was sent.

        Raises:
            SagaNotFound: no saga was started under this key.
        """
        return not isinstance(await self._ask(CancelSaga(who=who, why=why)), Refused)

    async def _remote_history(self) -> list[Happened]:
        found = list[Happened]()
        while True:
            answer = await self._ask(AskHistory(after=len(found) - 1))
            if not isinstance(answer, HistoryPage):
                raise HistoryNotReadable(self._saga.__saga__, self.key, type(answer).__name__)
            for place, (at, event) in enumerate(zip(answer.timestamps_ms, answer.events, strict=True)):
                found.append(self._happened(answer.first + place, at, self._bytes_of(event)))
            if answer.is_last:
                return found

    def _bytes_of(self, text: str) -> bytes:
        try:
            return b64decode(text, validate=True)
        except ValueError as error:
            raise HistoryNotReadable(self._saga.__saga__, self.key, f"{text[:40]!r} as an event") from error

    def _happened(self, version: int, at_ms: int, value: bytes) -> Happened:
        event = self._hosted.runtime.host.serde.decode(value)
        if not isinstance(event, Event):
            raise HistoryNotReadable(self._saga.__saga__, self.key, type(event).__name__)
        return Happened(version, datetime.fromtimestamp(at_ms / 1000, UTC), event)

    async def _ask(self, message: Message, *, timeout: timedelta = ASK_PATIENCE) -> Message | None:
        answer = await ask(self._hosted, self._saga, self.key, message, timeout=timeout)
        if isinstance(answer, UnknownSaga):
            raise SagaNotFound(self._saga.__saga__, self.key)
        return answer


class SagaClient:
    """Starts sagas."""

    def __init__(self, hosted: Hosted, /) -> None:
        self._hosted = hosted

    async def start(self, saga: type[Saga[I, O]], input: I, /, *, timeout: timedelta = ASK_PATIENCE) -> Run[O]:
        """Start a saga; returns when the log has it. A repeat with the same input follows the same saga.

        Raises:
            SagaKeyReused: its key stands for a saga with other input; personal data that was protected anew is other.
            SagaKeyEmpty: its key is empty.
            SagaVersionUnknown: its owner does not have the version of this class.
            PersonalOpen: personal data in the input is not sealed: `await service.protect(input)`, kept for a repeat.
            AskTimedOut: no owner answered in time; it may have been started, so start it again with the same input.
            TypeError: it is no class of a saga, or no input of it.
        """
        check_is_saga(saga)
        run = self.run(saga, saga.key_of(input))
        answer = await ask(self._hosted, saga, run.key, _start(saga, input, wait=False), timeout=timeout)
        _accepted(saga, run.key, answer)
        return run

    async def complete(
        self,
        saga: type[Saga[I, O]],
        input: I,
        /,
        *,
        timeout: timedelta = timedelta(minutes=1),
    ) -> Completed[O] | Undone:
        """Start a saga and wait for its outcome, in one message instead of two.

        Raises:
            AskTimedOut: it did not end in time. It goes on: follow it by `run`, or call this again.
            SagaKeyReused: its key stands for a saga with other input.
            SagaKeyEmpty, SagaVersionUnknown, PersonalOpen: as for `start`.
        """
        check_is_saga(saga)
        key = saga.key_of(input)
        answer = await ask(self._hosted, saga, key, _start(saga, input, wait=True), timeout=timeout)
        _accepted(saga, key, answer)
        return outcome_of(saga, answer)

    def run(self, saga: type[Saga[Any, O]], key: str, /) -> Run[O]:
        """Follow a saga that was started before, by anybody. Nothing is asked yet: what is called on it then raises
        `SagaNotFound` if there is none. `saga`: its class, else it raises TypeError."""
        check_is_saga(saga)
        return Run(self._hosted, saga, key)


async def ask(
    hosted: Hosted, saga: type[Saga[Any, Any]], key: str, message: Message, *, timeout: timedelta
) -> Message | None:
    """Put a message to a saga and wait for the answer.

    Raises:
        SagaVersionUnknown: the owner does not have the saga's version.
        SagaRejected: the orchestrator failed on the message.
        AskTimedOut: no answer came in time.
    """
    await _make_known(hosted.runtime, saga)
    try:
        return await hosted.runtime.ask(saga.__saga__, key, message, timeout=timeout)
    except InputFailed as failed:
        if SagaVersionUnknown.__name__ in failed.error:
            raise SagaVersionUnknown(saga.__saga__, saga.__saga_version__, []) from failed
        raise SagaRejected(saga.__saga__, key, failed.error) from failed


_known = WeakKeyDictionary[Serde, set[type[Saga[Any, Any]]]]()


async def _make_known(runtime: Runtime, saga: type[Saga[Any, Any]]) -> None:
    """Let a process that does not host the saga read its answers."""
    serde = runtime.host.serde
    known = _known.setdefault(serde, set())
    if saga not in known:
        await asyncio.to_thread(serde.register, processor_messages(saga.__saga__, [saga.__graph__]))
        known.add(saga)


def outcome_of(saga: type[Saga[Any, O]], answer: Message | None) -> Completed[O] | Undone:
    """An outcome as a value, its result and refusal decoded."""
    assert isinstance(answer, SagaOutcome), f"asked for an outcome, got {answer!r}"
    graph = saga.__graph__
    if answer.completed:
        result = read_kept(graph.output, answer.result) if graph.output and answer.result else None
        return Completed(cast("O", result))
    if answer.type:
        refusal = decoded(graph, Text(answer.type, answer.version, answer.refusal))
        assert isinstance(refusal, Refusal)
        return Undone(step=answer.step, reason=refusal)
    return Undone(step=answer.step, reason=_REASONS.get(answer.reason, "failed"), detail=answer.detail)


_REASONS: dict[str, Literal["timed out", "cancelled", "failed"]] = {
    "timed out": "timed out",
    "deadline": "timed out",
    "cancelled": "cancelled",
    "failed": "failed",
}


def _start(saga: type[Saga[I, Any]], input: I, *, wait: bool) -> Message:
    return start_command(
        saga.__saga__, key=saga.key_of(input), version=saga.__saga_version__, input=kept_json(input), wait=wait
    )


def _accepted(saga: type[Saga[Any, Any]], key: str, answer: Message | None) -> None:
    if isinstance(answer, KeyTaken):
        raise SagaKeyReused(saga.__saga__, key, personal=personal_names(saga.__graph__.input))
