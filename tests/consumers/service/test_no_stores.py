"""What is no store is taken for one by a client: its appends and erasures are refused at once, by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import BaseModel

from consumers import Client, Service
from eventstore import ANY, NO_STREAM, Aggregate, DurableState, EventStore, decide, evolve
from eventstore.processor.append_call import AppendsNotTaken
from sagas import Saga, step
from schemas import Command, Event


class Filled(Event, name="box.filled"):
    size: int


class Fill(Command[None], to="boxes", key="box"):
    box: str
    size: int


class Note(Command[None], to="notes", key="box"):
    box: str


class Boxes(Aggregate[Filled], name="boxes"):
    @decide
    def fill(self, command: Fill) -> None:
        self.record(Filled(size=command.size))

    @evolve
    def on_filled(self, event: Filled) -> None:
        """Nothing."""


class Notes(DurableState, name="notes"):
    @decide
    def note(self, command: Note) -> None:
        """Nothing."""


class Wish(BaseModel):
    box: str


class Wishes(Saga[Wish], name="wishes", key="box"):
    @step(undo=None)
    def fill(self) -> Fill:
        return Fill(box=self.input.box, size=1)

    flow = fill


@pytest.fixture
def url(unique: Callable[[str], str]) -> str:
    """A log of this test's own, by name."""
    return f"memory://{unique('boxes')}"


@pytest.mark.parametrize("name", ["boxes", "notes", "wishes"])
async def test_writes_to_what_is_no_store_are_refused(url: str, name: str) -> None:
    """The owner says so; nobody waits for a time-out, and no dead letter is made of it."""
    store = EventStore(name, events=[Filled])

    async with (
        Service("packing", components=[Boxes, Notes, Wishes], log=url),
        Client(log=url, stores=[store]),
    ):
        for _ in range(2):
            with pytest.raises(AppendsNotTaken, match=rf"'{name}' is no event store but an aggregate.* send it a comm"):
                await store.append("a", [Filled(size=1000)], expected=ANY, commit_id="again")
        with pytest.raises(AppendsNotTaken):
            await store.delete("a", expected=ANY)
        with pytest.raises(AppendsNotTaken):
            await store.truncate("a", before=1, expected=NO_STREAM)


async def test_what_an_aggregate_recorded_is_read_all_the_same(url: str) -> None:
    """Only writing is the aggregate's own."""
    store = EventStore("boxes", events=[Filled])

    async with Service("packing", components=[Boxes], log=url) as service, Client(log=url, stores=[store]):
        await service.ask(Fill(box="a", size=3))
        with pytest.raises(AppendsNotTaken):
            await store.append("a", [Filled(size=1000)], expected=ANY)

        found = [each.event async for each in store.read("a")]

    assert found == [Filled(size=3)]
