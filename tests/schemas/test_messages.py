"""Message classes: identity, immutability, keys, answers, Undo."""

from __future__ import annotations

import copy
import pickle
import threading
from enum import Enum
from typing import Annotated, Any, cast
from uuid import UUID, uuid4

import pytest
from pydantic import Field, ValidationError

from schemas import Command, Event, Failure, MemoryRegistry, Nothing, Serde, Undo, answers, is_command, key_of
from tests.schemas.samples import Release, Reserve, Reserved, SoldOut


def test_the_name_defaults_to_the_class_name_in_snake_case() -> None:
    """A class without name= is known by its own name, in snake case."""

    class HTTPOrderPlaced2Day(Event):
        x: int

    assert HTTPOrderPlaced2Day.__type_name__ == "http_order_placed2_day"
    assert HTTPOrderPlaced2Day.__type_version__ == 1


def test_a_name_may_stand_for_several_versions() -> None:
    """The class of an old version may live beside the one of today."""

    class PlacedV1(Event, name="order.placed", version=1):
        x: int

    class Placed(Event, name="order.placed", version=2):
        y: int

    serde = Serde(MemoryRegistry(), [PlacedV1, Placed])

    assert serde.decode(serde.encode(PlacedV1(x=1))) == PlacedV1(x=1)
    assert serde.decode(serde.encode(Placed(y=1))) == Placed(y=1)


def test_messages_cannot_be_changed() -> None:
    """A message is a fact: assignment raises, and equal messages hash alike."""
    command = Reserve(sku="a")

    with pytest.raises(ValidationError, match="frozen"):
        setattr(command, "sku", "b")  # noqa: B010 (both checkers refuse the plain form)
    assert {command, Reserve(sku="a")} == {command}


def test_unknown_fields_are_refused() -> None:
    """A misspelt field is an error, not lost data."""
    with pytest.raises(ValidationError, match="Extra inputs"):
        cast("Any", Reserve)(sku="a", quantty=3)


def test_the_key_is_text() -> None:
    """Whatever the key field's type, the key of the entity is its text."""

    class Color(Enum):
        RED = "red"

    class Paint(Command[None], to="paint", key="color"):
        color: Color

    class Count(Command[None], to="count", key="number"):
        number: int

    class Open(Command[None], to="doors", key="door"):
        door: UUID

    door = UUID(int=5)
    assert [key_of(Paint(color=Color.RED)), key_of(Count(number=7)), key_of(Open(door=door))] == ["red", "7", str(door)]
    assert key_of(Undo[Count](did=Count(number=7))) == "7"


def test_a_command_says_its_answers() -> None:
    """Replies and refusals are read from the class; a reply None is its type."""
    assert answers(Reserve) == ((Reserved,), (SoldOut,))
    assert answers(Release) == ((type(None),), ())
    assert answers(Undo[Reserve]) == ((type(None),), ())


def test_several_answers_are_all_listed() -> None:
    """A union of replies or refusals is told by its members; subclasses answer what their parent does."""

    class Ask(Command[Reserved | None, SoldOut | SoldOut], to="a", key="id"):
        id: str

    class AskMore(Ask):
        more: int

    assert answers(Ask) == answers(AskMore) == ((Reserved, type(None)), (SoldOut,))
    assert AskMore.__type_name__ == "ask_more"
    assert AskMore.__to__ == "a"


def test_undo_goes_where_its_command_went() -> None:
    """Undo[C] takes destination, key and version from C; its name is C's after `undo.`."""

    class Book(Command[None], to="hotels", key="trip", name="hotel.book", version=4):
        trip: str

    assert Undo[Book].__type_name__ == "undo.hotel.book"
    assert (Undo[Book].__to__, Undo[Book].__key__, Undo[Book].__type_version__) == ("hotels", "trip", 4)
    assert is_command(Undo[Book])


def test_undo_of_a_command_is_one_class_in_every_thread() -> None:
    """Handlers are found by class, so each thread must see the same one (pydantic's own cache is per context)."""
    seen: list[object] = []

    class Fresh(Command[None], to="a", key="id"):
        id: str

    threads = [threading.Thread(target=lambda: seen.append(Undo[Fresh])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert seen == [Undo[Fresh]] * 8
    assert type(Undo[Fresh](did=Fresh(id="1"))) is Undo[Fresh]


def test_undo_is_equal_copied_and_pickled() -> None:
    """An Undo behaves as any message, wherever it was parametrized."""
    undo = Undo[Reserve](did=Reserve(sku="a"))

    for made in (pickle.loads(pickle.dumps(undo)), copy.deepcopy(undo), Undo[Reserve](did=Reserve(sku="a"))):
        assert made == undo
        assert type(made) is Undo[Reserve]
    assert undo != Undo[Reserve](did=Reserve(sku="b"))


def test_undos_stand_in_unions() -> None:
    """A handler may take several: Undo[A] | Undo[B]."""
    union = Undo[Reserve] | Undo[Release]

    assert union.__args__ == (Undo[Reserve], Undo[Release])


def test_undo_refuses_another_command() -> None:
    """Undo[A] does not hold a B."""
    with pytest.raises(ValidationError):
        cast("Any", Undo[Reserve])(did=Release(sku="a"))


def test_internal_answers_are_always_known() -> None:
    """Every serde reads the wire form of a reply None, and of a failure."""
    registry = MemoryRegistry()
    writer, reader = Serde(registry), Serde(registry)
    failure = Failure(error="ValueError", detail="no", final=True)

    assert reader.decode(writer.encode(Nothing())) == Nothing()
    assert reader.decode(writer.encode(failure)) == failure


class Weighed(Event):
    grams: Annotated[int, Field(ge=0)]
    note: str = Field(default="", alias="remark")
    id: UUID = Field(default_factory=uuid4)


def test_what_a_copy_updates_is_validated() -> None:
    """It was kept in the log as given, where nobody could read it."""
    weighed = Weighed(grams=1)

    copied = weighed.model_copy(update={"grams": 2, "note": "x"})

    assert (copied.grams, copied.note, copied.id, copied.model_fields_set) == (2, "x", weighed.id, {"grams", "note"})
    assert weighed.model_copy() == weighed
    for wrong in ({"grams": "many"}, {"grams": None}, {"grams": -1}, {"weight": 1}):
        with pytest.raises(ValidationError):
            weighed.model_copy(update=wrong)
