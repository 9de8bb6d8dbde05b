"""The client, on a runtime that is a world in memory."""

from __future__ import annotations

from datetime import timedelta
from inspect import signature
from typing import Any, cast

import pytest

from consumers import Service
from consumers.blocking import Blocking
from eventstore.component import Runtime
from eventstore.errors import AskTimedOut, InputFailed
from eventstore.hosting import Hosting
from eventstore.log.kafka.log import KafkaLog
from eventstore.processor.asking import Asking
from eventstore.processor.index import StoredEvent
from eventstore.writing import PATIENCE_SECONDS
from sagas import (
    Completed,
    Saga,
    SagaClient,
    SagaKeyReused,
    SagaNotFound,
    SagaProcessor,
    SagaVersionUnknown,
    Undone,
    step,
    timeline,
)
from sagas.timeline import lines
from schemas import Failure, MemoryRegistry, Message, Metadata, Nothing, Serde
from tests.sagas.trips import BookTrip, Charge, Declined, SendMail, SoldOut, Ticket, Trip, answers, everybody
from tests.sagas.world import Participant, World


class Host:
    def __init__(self) -> None:
        self.serde = Serde(MemoryRegistry())


class WorldRuntime:
    """Asks the world, which then runs until nothing is under way."""

    def __init__(self, world: World, *, is_owner: bool) -> None:
        self.world, self.host, self._is_owner = world, Host(), is_owner

    async def ask(
        self, to: str, key: str, message: Message, *, id: str | None = None, timeout: timedelta = timedelta(seconds=5)
    ) -> Message | None:
        asked = self.world.ask(to, key, message)
        self.world.run()
        answer = self.world.replies.get(asked)
        if answer is None:
            raise AskTimedOut(message.__type_name__, timeout.total_seconds())
        if isinstance(answer, Failure):
            raise InputFailed(to, f"{answer.error}: {answer.detail}")
        return None if isinstance(answer, Nothing) else answer

    def index(self, processor: str, key: str) -> Any:
        return Index(self, processor) if self._is_owner else None


class Index:
    def __init__(self, runtime: WorldRuntime, processor: str) -> None:
        self._runtime, self._processor = runtime, processor

    def read(self, stream: str) -> list[StoredEvent]:
        entity = self._runtime.world.entities.get((self._processor, stream))
        events = entity.events if entity else []
        encode = self._runtime.host.serde.encode
        return [StoredEvent(place, 1_000 * place, -1, b"", encode(event)) for place, event in enumerate(events)]


class Hosted:
    def __init__(self, *, is_owner: bool = True, **others: Participant) -> None:
        self.world = World(SagaProcessor([BookTrip]), participants=everybody(**others))
        self._runtime = WorldRuntime(self.world, is_owner=is_owner)
        self.world.encode = self._runtime.host.serde.encode

    @property
    def runtime(self) -> Runtime:
        return self._runtime  # type: ignore[return-value] # as far as a client needs it


def declining(message: Message, metadata: Metadata) -> Message | None:
    """A bank that declines."""
    return Declined(reason="poor") if isinstance(message, Charge) else answers(message, metadata)


async def test_start_and_outcome_of_a_completed_saga() -> None:
    """The result is the saga's own type."""
    run = await SagaClient(Hosted()).start(BookTrip, Trip(trip_id="1"))

    assert await run.outcome() == Completed(Ticket(reference="R-H-1"))


async def test_the_outcome_of_an_undone_saga_holds_the_refusal() -> None:
    """Where, and the refusal as the participant gave it."""
    run = await SagaClient(Hosted(payments=declining)).start(BookTrip, Trip(trip_id="1"))

    assert await run.outcome() == Undone(step="pay", reason=Declined(reason="poor"))


async def test_complete_starts_and_waits_in_one_message() -> None:
    """The same outcome, also when it is repeated."""
    client = SagaClient(Hosted())

    outcomes = [await client.complete(BookTrip, Trip(trip_id="1")) for _ in range(2)]

    assert outcomes == [Completed(Ticket(reference="R-H-1"))] * 2


async def test_other_input_under_a_used_key_raises() -> None:
    """Named, with the key."""
    client = SagaClient(Hosted())
    await client.start(BookTrip, Trip(trip_id="1"))

    with pytest.raises(SagaKeyReused) as raised:
        await client.start(BookTrip, Trip(trip_id="1", city="Oslo"))
    assert raised.value.key == "1"


async def test_an_unknown_version_raises() -> None:
    """P8: the owner does not have the class."""

    class Newer(Saga[Trip], name="book_trip", version=9, key="trip_id"):
        @step(undo=None)
        def mail(self) -> SendMail:
            return SendMail(trip_id=self.input.trip_id, text="newer")

        flow = mail

    with pytest.raises(SagaVersionUnknown):
        await SagaClient(Hosted()).start(Newer, Trip(trip_id="1"))


@pytest.mark.parametrize("is_owner", [True, False])
async def test_history_is_read_where_it_is_or_asked_for(is_owner: bool) -> None:
    """From the local index, or from the owner page by page: the same events."""
    hosted = Hosted(is_owner=is_owner)
    run = await SagaClient(hosted).start(BookTrip, Trip(trip_id="1"))

    history = await run.history()

    assert [each.event for each in history] == hosted.world.events("book_trip", "1")
    assert [each.version for each in history] == list(range(len(history)))
    assert timeline(history)[-1].what == "completed"


@pytest.mark.parametrize("is_owner", [True, False])
async def test_a_timeline_is_the_history_as_text(is_owner: bool) -> None:
    """A line for each event, with what happened, where and why: as `sagalog saga show` prints it."""
    run = await SagaClient(Hosted(is_owner=is_owner, payments=declining)).start(BookTrip, Trip(trip_id="1"))

    shown = await run.timeline()

    assert shown == lines(timeline(await run.history()))
    assert any("pay" in line and "declined reason=poor (an earlier run may have succeeded)" in line for line in shown)
    assert shown[-1].endswith("everything that may have happened is undone")


@pytest.mark.parametrize("is_owner", [True, False])
async def test_a_saga_that_never_was_is_not_found(is_owner: bool) -> None:
    """Status, outcome and history say so."""
    run = SagaClient(Hosted(is_owner=is_owner)).run(BookTrip, "9")

    for question in (run.status, run.outcome, run.history, run.timeline, run.cancel):
        with pytest.raises(SagaNotFound):
            await question()


async def test_status_and_cancel() -> None:
    """A completed saga is too late to cancel."""
    run = await SagaClient(Hosted()).start(BookTrip, Trip(trip_id="1"))

    status = await run.status()

    assert (status.phase, status.steps["pay"], status.pivot_passed) == ("completed", "replied", True)
    assert not await run.cancel(who="Ann")


async def test_reasons_other_than_refusals_are_words() -> None:
    """A hotel that is sold out is a refusal; a builder that fails is "failed"."""

    def hotels(message: Message, metadata: Metadata) -> Message | None:
        return Failure(error="Bug", detail="", final=True) if metadata.attributes["role"] == "do" else None

    run = await SagaClient(Hosted(hotels=hotels)).start(BookTrip, Trip(trip_id="1"))

    assert await run.outcome() == Undone(step="hotel", reason="failed")
    assert Undone(step="hotel", reason=SoldOut(city="Rome")) != await run.outcome()


def test_callers_outlast_the_session_of_an_owner_that_was_killed() -> None:
    """By default: else each call to its partitions would time out, though a successor answers moments later."""
    session_s = signature(KafkaLog.group).parameters["session_ms"].default / 1000
    asks: list[Any] = [Service.ask, Blocking.ask, SagaClient.start, Hosting.ask, Hosting.ask_positioned, Asking.ask]
    patience = {signature(call).parameters["timeout"].default.total_seconds() for call in asks}

    assert min(*patience, PATIENCE_SECONDS) >= session_s + 3


async def test_what_is_no_saga_is_refused_by_name() -> None:
    """Before anything is asked."""
    hosted, order, trip = cast("Any", None), cast("Any", Trip), Trip(trip_id="1")
    client = SagaClient(hosted)

    for starting in (client.start(order, trip), client.complete(order, trip)):
        with pytest.raises(TypeError, match=r"Trip'> is no saga: give its class, such as PlaceOrder"):
            await starting
    with pytest.raises(TypeError, match="is no saga"):
        client.run(order, "1")
