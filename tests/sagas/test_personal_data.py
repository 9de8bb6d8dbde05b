"""Personal data in the inputs and signals of sagas: sealed first, or refused by name (E4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from consumers import Reactor, Service
from eventstore import ANY, Component, EventStore
from eventstore.log.records import TopicPartition
from eventstore.subject_keys.masters import VARIABLE, generate
from sagas import Completed, Participant, Saga, SagaClient, SagaKeyReused, result, step, wait_for
from schemas import Command, Event, Message, Personal, Reply, personal
from schemas.errors import Unencodable
from schemas.personal_data import PersonalOpen
from schemas.personal_fields import sealed_json

ADA = "Ada King of Lovelace"


class Guest(BaseModel):
    id: str
    name: Personal[str] = personal(subject="id")


class Passport(Message, name="personal.passport"):
    id: str
    number: Personal[str] = personal(subject="id")


class Greeted(Reply, name="personal.greeted"):
    letters: int


class Greet(Command[Greeted], to="personal_greeters", key="id"):
    id: str
    name: Personal[str] = personal(subject="id")


class Came(Event, name="personal.came"):
    id: str


class Welcome(Saga[Guest, Greeted], name="personal_welcome", key="id"):
    @step(undo=None)
    def greet(self) -> Greet:
        return Greet(id=self.input.id, name=self.input.name)

    @result
    def greeted(self) -> Greeted:
        return self.greet

    flow = greet


class CheckIn(Saga[Guest, Greeted], name="personal_check_in", key="id"):
    passport = wait_for(Passport, timeout=timedelta(minutes=1))

    @step(undo=None)
    def greet(self) -> Greet:
        return Greet(id=self.input.id, name=self.input.name)

    @result
    def greeted(self) -> Greeted:
        return self.greet

    flow = passport >> greet


greeters = Participant("personal_greeters")


@greeters.on
async def greet(command: Greet) -> Greeted:
    return Greeted(letters=len(str(command.name.reveal())))


arrivals = EventStore[Came]("personal_arrivals", events=[Came])
welcoming = Reactor("personal_welcoming", topics=[arrivals])


@welcoming.on
def came(event: Came) -> Iterator[Command[Any, Any]]:
    yield Welcome.start(Guest(id=event.id, name=Personal(ADA)))


@pytest.fixture
def service(unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setenv(VARIABLE, generate("first"))
    name = unique("personal")
    components: list[Component] = [Welcome, CheckIn, greeters, arrivals, welcoming]
    return Service(name, components=components, log=f"memory://{name}", state="memory://")


def test_no_error_of_an_input_shows_the_value() -> None:
    """It is no message, and errors of its making end up in logs and dead letters."""
    with pytest.raises(ValidationError) as raised:
        Guest(id="ada", name=ADA)  # type: ignore[arg-type]

    assert ADA not in f"{raised.value} {raised.value!r}"


async def test_an_input_that_is_not_sealed_is_refused_by_name_and_then_sealed(service: Service) -> None:
    """The caller gets the error itself, which names field and way out; protected, it is started and finished."""
    guest = Guest(id="ada", name=Personal(ADA))
    async with service:
        client = SagaClient(service)
        for begin in (client.start, client.complete):
            with pytest.raises(PersonalOpen, match=r"Guest\.name .*await service\.protect"):
                await begin(Welcome, guest)

        sealed = await service.protect(guest)
        outcome = await client.complete(Welcome, sealed)
        with pytest.raises(SagaKeyReused, match=r"but for name: personal data is sealed anew .* give that again"):
            await client.start(Welcome, await service.protect(guest))
        again = await client.start(Welcome, sealed)

        assert outcome == Completed(Greeted(letters=len(ADA)))
        assert await again.outcome() == outcome


async def test_a_signal_that_is_not_sealed_is_refused_by_name_and_then_sealed(service: Service) -> None:
    """As an input is."""
    passport = Passport(id="ada", number=Personal("P1"))
    async with service:
        run = await SagaClient(service).start(CheckIn, await service.protect(Guest(id="ada", name=Personal(ADA))))
        with pytest.raises(PersonalOpen, match=r"Passport\.number"):
            await run.signal(CheckIn.passport, passport)

        await run.signal(CheckIn.passport, await service.protect(passport))

        assert await run.outcome() == Completed(Greeted(letters=len(ADA)))


async def test_a_reactor_that_starts_a_saga_with_an_open_value_leaves_a_dead_letter_that_says_so(
    service: Service,
) -> None:
    """Nothing of the event is sent; the dead letter names the error."""
    async with service:
        await service.ready()
        await arrivals.append("a", [Came(id="ada")], expected=ANY)
        await service.settled()

        host = service.runtime.host
        topic = f"personal_arrivals.events.{host.service}.personal_welcoming.dlq"
        places = [TopicPartition(topic, number) for number in range(host.log.describe([topic])[topic].partitions)]
        reader = host.log.reader(dict.fromkeys(places, 0))
        [dead] = reader.read(10, 1.0)
        reader.close()

    assert dict(dead.headers)["__dlq.errors.type"] == b"PersonalOpen"


def test_what_json_cannot_hold_is_named() -> None:
    """Nothing of pydantic's comes out of the text of a model either."""

    class Thing(BaseModel):
        what: object

    with pytest.raises(Unencodable, match="Thing cannot be encoded"):
        sealed_json(Thing(what=object()))
