"""A name that cannot be one is refused where it is given, not when its topics are made."""

from collections.abc import Callable
from types import new_class
from typing import Any, cast

import pytest

from eventstore.aggregate import Aggregate
from eventstore.component import Plan
from eventstore.decider import Decider
from eventstore.durable import DurableState
from eventstore.processor.port import AnyProcessor
from sagalog import Client, DefinitionError, EventStore, Participant, Reactor, Service, View, Worker
from tests.consumers.service.app import Added, Counter

BAD = ["", ".", "a b", "a/b", "ü", "x" * 71]


def by_hand(name: str) -> object:
    """A component that is no class of ours, with a processor of this name."""
    processor: Any = Counter.__component__().processors[0]

    class Renamed:
        def __getattr__(self, attribute: str) -> Any:
            return name if attribute == "name" else getattr(processor, attribute)

    class Component:
        def __component__(self) -> Plan:
            return Plan(name="by hand", processors=(cast("AnyProcessor", Renamed()),))

    return Service("shop", components=[Component()])


MAKERS: dict[str, Callable[[str], object]] = {
    "service": lambda name: Service(name, components=[]),
    "client": lambda name: Client(name=name),
    "store": lambda name: EventStore(name, events=[Added]),
    "worker": Worker,
    "participant": Participant,
    "reactor": lambda name: Reactor(name, topics=["a.events"]),
    "decider": lambda name: Decider(name, events=[Added], initial=int),
    "processor": by_hand,
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_an_object_is_not_made_under_a_name_that_cannot_be_one(make: Callable[[str], object], name: str) -> None:
    """The error names what is wrong, and an example."""
    with pytest.raises(ValueError, match=r"cannot have this name: .* such as '"):
        make(name)


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("base", [Aggregate[Added], DurableState, View], ids=["aggregate", "state", "view"])
def test_a_class_is_not_made_under_a_name_that_cannot_be_one(base: type, name: str) -> None:
    """The error names the class, and an example of a name."""
    options = {"topics": ["a.events"]} if base is View else {}

    with pytest.raises(DefinitionError, match=r"Named (cannot have this name=: .* such as '|needs a name of a-z, 0-9)"):
        new_class("Named", (base,), {"name": name, **options})


def test_a_class_whose_own_name_cannot_be_one_needs_another() -> None:
    """Without `name=` its name in snake case counts."""
    with pytest.raises(DefinitionError, match="Büro cannot have this name=: 'büro' holds 'ü'"):
        new_class("Büro", (DurableState,))


def test_a_slot_that_cannot_be_a_folder_is_refused_before_anything_runs() -> None:
    """It is part of a path and of transactional ids; the name of a machine fits."""
    with (
        pytest.raises(ValueError, match=r"slot= cannot have this name: 'a/b' holds '/'"),
        Service("shop", components=[Counter], log="memory://", slot="a/b").blocking(),
    ):
        pass
    with Service("shop", components=[Counter], log="memory://", slot="x" * 100).blocking() as shop:
        assert shop.asynchronous.runtime.host.slot == "x" * 100
