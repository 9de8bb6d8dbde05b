"""The names of the sagas of a log."""

from __future__ import annotations

from uuid import uuid4

import pytest
from pydantic import BaseModel

from consumers import Service
from eventstore import Aggregate, Component, decide, evolve
from eventstore.log import open_log
from sagas import Participant, Saga, SagaClient, step
from sagas.errors import SagaNameUnknown
from sagas.overview import read_history, read_overviews
from schemas import Command, Event, MemoryRegistry, Serde


class Subject(BaseModel):
    id: str


class Written(Event, name="test.finding.written"):
    id: str


class Write(Command[None], to="finding_notes", key="id", name="test.finding.write"):
    id: str


class Tell(Command[None], to="finding_post", key="id", name="test.finding.tell"):
    id: str


class Notes(Aggregate[Written], name="finding_notes"):
    count: int = 0

    @decide
    def write(self, command: Write) -> None:
        self.record(Written(id=command.id))

    @evolve
    def written(self, event: Written) -> None:
        self.count += 1


class Telling(Saga[Subject], name="finding_telling", key="id"):
    @step(pivot=True)
    def tell(self) -> Tell:
        return Tell(id=self.input.id)

    flow = tell


class NeverStarted(Saga[Subject], name="finding_never", key="id"):
    @step(pivot=True)
    def tell(self) -> Tell:
        return Tell(id=self.input.id)

    flow = tell


async def test_a_wrong_name_is_told_with_the_right_ones() -> None:
    """An aggregate's name is a wrong one too; a saga of which none was started is no mistake, but empty."""
    post = Participant("finding_post")

    @post.on
    async def tell(command: Tell) -> None:
        """Done."""

    components: list[Component] = [post, Notes, Telling, NeverStarted]
    async with Service("finding", log=f"memory://{uuid4().hex}", components=components) as service:
        await SagaClient(service).complete(Telling, Subject(id="1"))
        await service.ask(Write(id="1"))
        log, serde = service.runtime.host.log, service.runtime.host.serde

        for wrong in ("finding_teling", "finding_notes"):
            with pytest.raises(SagaNameUnknown, match=f"no saga named '{wrong}': there are finding_telling;"):
                read_overviews(log, serde, wrong)
            with pytest.raises(SagaNameUnknown):
                read_history(log, serde, wrong, "1")
        assert read_overviews(log, serde, "finding_never") == []


def test_an_empty_log_has_no_names_to_offer() -> None:
    """It says so."""
    log = open_log(f"memory://{uuid4().hex}")
    with pytest.raises(SagaNameUnknown, match="no saga ever ran on it"):
        read_overviews(log, Serde(MemoryRegistry()), "no_such")
    log.close()
