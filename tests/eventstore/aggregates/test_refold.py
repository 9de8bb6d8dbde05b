"""Specifications find what a decision changed without an event."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import Field

from eventstore.aggregate import Aggregate, decide, evolve
from eventstore.decider import Decider
from eventstore.refold import ChangedWithoutEvent
from eventstore.specification import given
from schemas import Command, Event, Personal, Refusal, personal


class Filled(Event, name="box.filled"):
    sizes: list[int] = Field(default_factory=list[int])
    who: Personal[str] | None = personal(default=None, subject="owner")
    owner: str = "ann"


class Full(Refusal, name="box.full"):
    pass


class Fill(Command[None, Full], to="box", key="box"):
    box: str
    size: int


def test_a_field_that_a_decision_changes_is_named() -> None:
    """Without a snapshot a restart would lose it: the error names the class, the field and the rule."""

    class Box(Aggregate[Filled], name="box"):
        filled: int = 0
        sold: int = 0

        @decide
        def fill(self, command: Fill) -> None:
            self.record(Filled(sizes=[command.size]))
            self.sold += command.size

        @evolve
        def on_filled(self, event: Filled) -> None:
            self.filled += sum(event.sizes)

    with pytest.raises(ChangedWithoutEvent, match=r"Box\.sold was changed .* is 3, and 0 .*only in @evolve"):
        given(Box).when(Fill(box="a", size=3))


def test_a_list_that_a_refusing_decision_changes_is_named() -> None:
    """Also when it is the list of an event that was given."""

    class Box(Aggregate[Filled], name="box"):
        sizes: list[int] = Field(default_factory=list[int])

        @decide
        def fill(self, command: Fill) -> Full:
            self.sizes.append(command.size)
            return Full()

        @evolve
        def on_filled(self, event: Filled) -> None:
            self.sizes = event.sizes

    with pytest.raises(ChangedWithoutEvent, match=r"Box\.sizes"):
        given(Box).when(Fill(box="a", size=3))
    with pytest.raises(ChangedWithoutEvent, match=r"Box\.sizes .* is \[1, 3\], and \[1\]"):
        given(Box, Filled(sizes=[1])).when(Fill(box="a", size=3))


def test_what_events_say_is_no_such_change() -> None:
    """Personal data, keys, versions, and values that are equal to nothing, among what they say."""

    class Box(Aggregate[Filled], name="box"):
        mark: str = ""
        unequal: float = 0.0
        who: Personal[str] | None = None
        made: object = None

        @decide
        def fill(self, command: Fill) -> None:
            self.record(Filled(sizes=[command.size]))
            self.record(Filled())

        @evolve
        def on_filled(self, event: Filled) -> None:
            self.mark += f"{self.key}{self.version}"
            self.unequal, self.who, self.made = float("nan"), event.who or self.who, object()

    first = Filled(sizes=[1], who=Personal("Ann"))

    given(Box, first).when(Fill(box="a", size=3)).then(Filled(sizes=[3]), Filled())


def test_a_decider_that_changes_its_state_is_told() -> None:
    """Its state may be of any type."""

    @dataclass
    class Sizes:
        known: list[int] = field(default_factory=list[int])

    box = Decider("box", initial=Sizes, events=[Filled])

    @box.decide
    def fill(state: Sizes, command: Fill) -> None:
        state.known.append(command.size)

    @box.evolve
    def filled(state: Sizes, event: Filled) -> Sizes:
        return Sizes([*state.known, *event.sizes])

    used: Any = (fill, filled)

    assert used
    with pytest.raises(ChangedWithoutEvent, match=r"the .*Sizes was changed in @decide"):
        given(box).when(Fill(box="a", size=3))
