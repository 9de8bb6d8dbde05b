"""`sagalog saga list` and `show`, on a log that another part of the process wrote."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from pydantic import BaseModel

from consumers import Client, Service
from eventstore import EventStore
from eventstore.log import open_log
from sagalog.cli import execute as run
from sagas import Participant, Saga, SagaClient, step
from schemas import Command, Event, Refusal, Undo


class Order(BaseModel):
    id: str
    city: str


class NoCourier(Refusal):
    city: str


class Reserve(Command[None], to="cli_shop", key="order"):
    order: str


class Ship(Command[None, NoCourier], to="cli_shop", key="order"):
    order: str
    city: str


class Unrelated(Event, name="test.cli.unrelated"):
    number: int


class PlaceOrder(Saga[Order], name="cli_order", key="id"):
    @step(undo=Undo)
    def reserve(self) -> Reserve:
        return Reserve(order=self.input.id)

    @step(pivot=True)
    def ship(self) -> Ship:
        return Ship(order=self.input.id, city=self.input.city)

    flow = reserve >> ship


@pytest.fixture
def log(unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A log with two finished sagas, one of them undone, and nothing running; SAGALOG_LOG names it."""
    url = f"memory://{unique('saga-cli')}"
    monkeypatch.setenv("SAGALOG_LOG", url)
    monkeypatch.setenv("COLUMNS", "200")
    with Client(log=url).blocking() as keeper:
        asyncio.run(_fill(url))
        assert keeper.address
        yield url


async def _fill(url: str) -> None:
    shop, store = Participant("cli_shop"), EventStore("cli_store", events=[Unrelated])

    @shop.on
    async def reserve(command: Reserve | Undo[Reserve]) -> None:
        """Done."""

    @shop.on
    async def ship(command: Ship) -> None | NoCourier:  # noqa: RUF036 - as users write it too
        return NoCourier(city=command.city) if command.city == "Atlantis" else None

    async with Service("cli", log=url, components=[shop, store, PlaceOrder]) as service:
        await store.append("a", [Unrelated(number=1)], expected=-1)
        for key, city in (("1", "Paris"), ("2", "Atlantis")):
            await SagaClient(service).complete(PlaceOrder, Order(id=key, city=city))


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """What the command says as JSON."""
    capsys.readouterr()
    assert run(["saga", *arguments, "--json"]) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


@pytest.mark.usefixtures("log")
def test_list_finds_all_sagas_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a name, every definition's sagas are listed, the last changed first."""
    said = answer(capsys, "list")

    assert [(each["saga"], each["key"], each["state"]) for each in said["listed"]] == [
        ("cli_order", "2", "undone"),
        ("cli_order", "1", "completed"),
    ]
    assert said["states"] == {"completed": 1, "undone": 1}


@pytest.mark.usefixtures("log")
def test_list_selects_and_limits(capsys: pytest.CaptureFixture[str]) -> None:
    """States choose; the limit shortens the list and not the count."""
    undone = answer(capsys, "list", "cli_order", "--state", "undone", "parked")
    limited = answer(capsys, "list", "cli_order", "--limit", "1")

    assert [(each["key"], each["reason"]) for each in undone["listed"]] == [("2", "no_courier")]
    assert (limited["sagas"], len(limited["listed"])) == (2, 1)


@pytest.mark.usefixtures("log")
def test_list_is_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Key, state, step and age in a line each, and a summary."""
    assert run(["saga", "list"]) == 0

    head, *rows, summary = capsys.readouterr().out.splitlines()
    assert head.split() == ["saga", "key", "state", "step", "reason", "age", "changed"]
    assert [row.split()[:4] for row in rows] == [
        ["cli_order", "2", "undone", "ship"],
        ["cli_order", "1", "completed", "ship"],
    ]
    assert summary == "1 completed, 1 undone"


@pytest.mark.usefixtures("log")
def test_show_is_a_timeline(capsys: pytest.CaptureFixture[str]) -> None:
    """What happened in order, for people and for programs."""
    said = answer(capsys, "show", "cli_order", "2")
    assert run(["saga", "show", "cli_order", "2"]) == 0

    whats = [row["what"] for row in said["timeline"]]
    assert whats[0] == "started"
    assert whats[-1] == "undone"
    assert "done" in whats, "a command that answers None"
    assert "turns back" in whats
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(whats)


@pytest.mark.usefixtures("log")
def test_what_is_not_there_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown key and an unknown saga end with 1 and one line."""
    assert run(["saga", "show", "cli_order", "3"]) == 1
    assert "3" in capsys.readouterr().err
    assert run(["saga", "list", "cli_ordr"]) == 1
    assert "no saga named 'cli_ordr': there are cli_order;" in capsys.readouterr().err


def test_help_says_what_the_step_is(capsys: pytest.CaptureFixture[str]) -> None:
    """The column is explained where it is asked for."""
    run(["saga", "list", "--help"])

    assert "The column step is where a saga is" in " ".join(capsys.readouterr().out.split())


def test_an_empty_log_has_no_sagas(unique: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing to list is no error."""
    url = f"memory://{unique('empty')}"
    with closing(open_log(url)):
        assert run(["saga", "list", "--log", url]) == 0
    assert capsys.readouterr().out == "no sagas\n"
