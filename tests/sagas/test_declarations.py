"""Declarations that cannot be meant are refused when they are made, each with what to write instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from consumers import Reactor, Service, Table, View, Worker, on
from consumers.reactions import Reaction, _given  # pyright: ignore[reportPrivateUsage] - what is tested
from eventstore import Aggregate, evolve
from sagas import Participant, Saga, step
from schemas import Command, DefinitionError, Event, Refusal

ANY: Any = Command
NO_MODEL: Any = dict[str, str]
BARE: Any = Aggregate


class Filled(Event, name="box.filled"):
    box: str = "a"


class Full(Refusal, name="box.full"):
    pass


FULL: Any = Full


class Fill(Command[None], to="boxes", key="box"):
    box: str = "a"


class Wish(BaseModel):
    box: str


def answers_an_int() -> object:
    class Wrong(ANY[int], to="boxes", key="box"):  # type: ignore[misc,call-arg]
        box: str

    return Wrong


def answers_a_refusal() -> object:
    class Wrong(ANY[FULL], to="boxes", key="box"):  # type: ignore[misc,call-arg]
        box: str

    return Wrong


def refused_by_an_event() -> object:
    class Wrong(ANY[None, Filled], to="boxes", key="box"):  # type: ignore[misc,call-arg]
        box: str

    return Wrong


def without_events() -> object:
    class Boxes(BARE, name="boxes"):  # type: ignore[misc,call-arg]
        @evolve
        def on_filled(self, event: Filled) -> None:
            """Nothing."""

    return Boxes


def without_a_model() -> object:
    class Wishes(Saga[NO_MODEL], name="wishes", key="box"):
        @step(undo=None)
        def fill(self) -> Fill:
            return Fill()

        flow = fill

    return Wishes


def without_a_model_of_results() -> object:
    class Wishes(Saga[Wish, NO_MODEL], name="wishes", key="box"):
        @step(undo=None)
        def fill(self) -> Fill:
            return Fill()

        flow = fill

    return Wishes


def with_other_fields() -> object:
    class Boxes(View, topics=["boxes.events"]):
        rows: dict[str, int]

        @on
        def filled(self, event: Filled) -> None:
            """Nothing."""

    return Boxes


def with_a_table_of_nothing() -> object:
    class Boxes(View, topics=["boxes.events"]):
        rows: Table  # type: ignore[type-arg]

        @on
        def filled(self, event: Filled) -> None:
            """Nothing."""

    return Boxes


def with_a_command_alone() -> object:
    reactor: Any = Reactor("filling", topics=["boxes.events"])

    def fill(event: Filled) -> Fill:
        return Fill()

    return reactor.on(fill)


REFUSED: dict[Callable[[], object], str] = {
    answers_an_int: "Wrong answers int, which is no Reply: give a class of one, or None",
    answers_a_refusal: r"Wrong answers Full, which is a Refusal: Command\[Reply, Full\]",
    refused_by_an_event: "Wrong may be refused by Filled, which is no Refusal",
    without_events: r"Boxes does not say its events: class Boxes\(Aggregate\[A \| B\], …\)",
    without_a_model: "Wishes starts with dict: give the class of a pydantic model",
    without_a_model_of_results: "Wishes answers dict: give the class of a pydantic model",
    with_other_fields: r"Boxes\.rows is no table .*: write rows: Table\[Key, Row\]",
    with_a_table_of_nothing: r"Boxes\.rows is no table .*: write rows: Table\[Key, Row\]",
    with_a_command_alone: r"fill yields commands: write a plain `def` -> Iterator\[Command\[Any, Any\]\]",
}


@pytest.mark.parametrize("define", REFUSED)
def test_a_declaration_that_cannot_be_meant_names_its_line(define: Callable[[], object]) -> None:
    """When its module is imported."""
    with pytest.raises(DefinitionError, match=rf"test_declarations\.py:\d+: {REFUSED[define]}"):
        define()


@pytest.mark.parametrize(
    ("component", "told"),
    [
        (Worker("mailer"), "worker mailer handles nothing: decorate"),
        (Participant("shop"), "participant shop handles nothing: decorate"),
        (Reactor("react", topics=["boxes.events"]), "reactor react reacts to nothing: decorate"),
    ],
)
def test_what_handles_nothing_is_no_component(component: Any, told: str) -> None:
    """It would read its topics and do nothing, and nobody would notice."""
    with pytest.raises(ValueError, match=told):
        Service("shop", log="memory://", components=[component])


def test_a_reactor_that_returns_a_command_is_told_to_yield_it() -> None:
    """Taken apart, it would be sent as its fields."""

    def fill(event: Filled) -> Any:
        return Fill()

    with pytest.raises(TypeError, match="fill returned one Fill: yield each command, or return a list of them"):
        _given(Reaction(fill, wants_recorded=False), fill(Filled()))


def test_constants_of_a_view_are_no_tables() -> None:
    """What has a value is not kept, and may be of any type."""

    class Boxes(View, topics=["boxes.events"]):
        most: int = 3
        rows: Table[str, int]

        @on
        def filled(self, event: Filled) -> None:
            """Nothing."""

    assert list(Boxes.__view__.tables) == ["rows"]


def test_a_list_of_commands_is_as_good_as_a_generator() -> None:
    """Whatever can be iterated."""
    reactor = Reactor("filling", topics=["boxes.events"])

    @reactor.on
    def fill(event: Filled) -> list[Command[Any, Any]]:
        return [Fill()]

    def lazily(event: Filled) -> Iterator[Command[Any, Any]]:
        yield Fill()

    for function in (fill, lazily):
        assert _given(Reaction(function, wants_recorded=False), function(Filled())) == [Fill()]
