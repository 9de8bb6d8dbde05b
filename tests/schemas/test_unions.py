"""A union's member is told by the value's class and read by its name, also by a class that changed since. Avro only."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, create_model

from schemas import Command, Event, FieldNotSupported, MemoryRegistry, Serde, Undecodable, Undo
from schemas.avro import AvroCodec
from schemas.avro_noted import noted
from tests.schemas.samples import Rank


class Cash(BaseModel):
    cents: int


class Card(BaseModel):
    cents: int


class Coin(BaseModel):
    cents: int


class Gift(BaseModel):
    method: Cash | Card
    inner: Gift | None = None


class Blue(enum.Enum):
    A = "a"
    C = "c"


class Red(enum.Enum):
    A = "a"
    B = "b"


class Change(NamedTuple):
    """A field's type before and after, and a value of the first."""

    before: Any
    after: Any
    value: Any


def _copied(old: Mapping[str, Any]) -> Mapping[str, object]:
    return {**old}


def _event(annotation: Any, version: int = 1) -> type[Any]:
    class Paid(Event, name="paid", version=version):
        locals().update(__annotations__={"field": annotation})

    return Paid


def _read(writer: type[Any], reader: type[Any], event: Any, mode: Any = "backward_transitive") -> Any:
    registry = MemoryRegistry(mode=mode)
    data = Serde(registry, [writer]).encode(event)
    return Serde(registry, [reader]).decode(data)


CARD, RED = Card(cents=5), Red.A
GROWN = [
    Change(Card, Cash | Card, CARD),
    Change(Card | None, Cash | Card | None, CARD),
    Change(Card | None, Cash | Card | None, None),
    Change(Cash | Card, Coin | Cash | Card, CARD),
    Change(list[Card], list[Cash | Card], [CARD]),
    Change(dict[str, Card], dict[str, Cash | Card], {"a": CARD}),
    Change(list[Card], str | list[Cash | Card], [CARD]),
    Change(dict[str, list[Card]], dict[str, list[Cash | Card]] | None, {"a": [CARD]}),
    Change(Red, Blue | Red, RED),
    Change(list[Red | None], list[Blue | Red | None], [RED, None]),
    Change(Red, str | Red, RED),
    Change(Red, Red | str, RED),
    Change(Gift, Coin | Gift, Gift(method=CARD, inner=Gift(method=CARD))),
    Change(int, float | str, 1.0),
    Change(float, float | Rank, 1.0),
    Change(int, bool | int, 1),
]


@pytest.mark.parametrize("change", GROWN, ids=lambda change: f"{change.before}-{change.after}")
def test_a_type_may_become_a_union_that_holds_it(change: Change) -> None:
    """What was written without a union, or with a smaller one, is read as the class that it was."""
    before, after = _event(change.before), _event(change.after)

    read = _read(before, after, before(field=change.value))

    assert repr(read) == repr(after(field=change.value))
    assert type(read.field) is type(change.value)


@pytest.mark.parametrize("change", GROWN[:13], ids=lambda change: f"{change.before}-{change.after}")
@pytest.mark.parametrize("takes", ["mapping", "model"])
def test_a_value_that_an_upcast_copies_keeps_its_class(change: Change, takes: str) -> None:
    """Whether the step takes a mapping or a model, and whether only the new version has the union or both have it."""
    for first in (change.before, change.after):
        before, after = _event(first), _event(change.after, version=2)
        _raise(after, before if takes == "model" else None)

        read = _read(before, after, before(field=change.value))

        assert type(read) is after
        assert repr(read.field) == repr(change.value)


def _raise(newest: type[Any], model: type[Any] | None) -> None:
    def raised(old: Any) -> Mapping[str, object]:
        return _copied(old) if model is None else {"field": old.field}

    raised.__annotations__["old"] = model or Mapping
    newest.upcast(from_version=1)(raised)


@st.composite
def _payments(draw: st.DrawFn) -> Any:
    cents = draw(st.integers(0, 9))
    leaf = st.sampled_from([Cash, Card, Coin]).map(lambda kind: kind(cents=cents))
    return draw(st.lists(leaf | st.dictionaries(st.text(max_size=2), leaf, max_size=2) | st.none(), max_size=4))


@given(_payments(), st.permutations([Cash, Card, Coin]))
@settings(deadline=None, max_examples=60)
def test_members_in_another_order_are_the_same_classes(payments: Any, order: list[type[BaseModel]]) -> None:
    """A union's order says nothing, to the same version and to a later one."""
    one, two, three = order
    before = _event(list[Cash | Card | Coin | dict[str, Cash | Card | Coin] | None])
    after = list[dict[str, one | two | three] | one | two | three | None]  # type: ignore[valid-type]
    same, later = _event(after), _event(after, version=2)
    _raise(later, None)

    for reader in (same, later):
        assert repr(_read(before, reader, before(field=payments)).field) == repr(payments)


def _members(**fields: Any) -> Any:
    return [create_model(name, **fields) for name in ("One", "Two")]


def test_fields_inside_of_a_member_may_change() -> None:
    """A member that gained a field with a default, and lost one, is still told by its name."""
    (old_one, old_two), (one, two) = _members(a=int, gone=int), _members(a=int, fresh=(str | None, None))
    before, after = _event(old_one | old_two), _event(one | two | Coin)

    assert type(_read(before, after, before(field=old_two(a=1, gone=7))).field) is two


class PayV1(Command[None], name="pay", version=1, to="bank", key="account"):
    account: str
    method: Cash | Card


@pytest.mark.parametrize("takes", [Mapping, PayV1])
def test_an_upcast_inside_of_an_undo_keeps_classes(takes: Any) -> None:
    """The command of an `Undo` is raised as the command is, by steps of both sorts."""

    class Pay(Command[None], name="pay", version=2, to="bank", key="account"):
        account: str
        method: Coin | Cash | Card

    def raised(old: Any) -> Mapping[str, object]:
        return _copied(old) if takes is Mapping else {"account": old.account, "method": old.method}

    raised.__annotations__["old"] = takes
    Pay.upcast(from_version=1)(raised)

    registry = MemoryRegistry()
    data = Serde(registry, [Undo[PayV1]]).encode(Undo[PayV1](did=PayV1(account="1", method=CARD)))

    read: Any = Serde(registry, [Undo[Pay]]).decode(data)

    assert repr(read.did) == "Pay(account='1', method=Card(cents=5))"


def test_what_a_step_makes_itself_is_taken_as_any_mapping() -> None:
    """It has no name: pydantic takes the first member that it fits best."""
    before, after = _event(Card), _event(Cash | Card, version=2)

    def raised(old: Mapping[str, Any]) -> Mapping[str, object]:
        return {"field": {**old["field"]}}

    after.upcast(from_version=1)(raised)

    assert _read(before, after, before(field=CARD)).field == Cash(cents=5)


def test_a_step_may_look_at_what_it_copies() -> None:
    """A record is a mapping and an enum is a text, like any other."""
    before, after = _event(tuple[Red, Card]), _event(tuple[str, int], version=2)

    def raised(old: Mapping[str, Any]) -> Mapping[str, object]:
        [red, card] = old["field"]
        assert (red, card) == ("a", {"cents": 5})
        assert json.loads(json.dumps([red, card])) == ["a", {"cents": 5}]
        return {"field": [red, card["cents"]]}

    after.upcast(from_version=1)(raised)

    read = _read(before, after, before(field=(RED, CARD)))

    assert read.field == ("a", 5)
    assert type(read.field[0]) is str


@pytest.mark.parametrize("version", [1, 2])
def test_a_member_that_is_gone_is_no_other_one(version: int) -> None:
    """What no member of the union is named after is refused, not given to one that it happens to fit."""
    before, after = _event(Cash | Card), _event(Cash | Coin, version=version)
    if version == 2:
        _raise(after, None)

    with pytest.raises(Undecodable, match="written as Card, which is none of Cash and Coin: let an upcast make one"):
        _read(before, after, before(field=CARD), mode="none")
    assert _read(before, after, before(field=Cash(cents=1)), mode="none").field == Cash(cents=1)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (float | Rank, Rank.LOW),
        (bool | Rank, Rank.LOW),
        (list[float | Rank], [1.0, Rank.LOW]),
        (float | Rank, 1.0),
    ],
    ids=str,
)
def test_an_enum_of_numbers_is_no_number(annotation: Any, value: Any) -> None:
    """Avro has no enum for it, so it is a long, which is told from a double."""
    event = _event(annotation)

    assert repr(_read(event, event, event(field=value)).field) == repr(value)


def test_upcasts_may_take_models_that_avro_has_not() -> None:
    """Fields without a form are pydantic's; the others keep their classes."""

    class Old(BaseModel):
        field: Cash | Card
        other: Any = None
        when: datetime | int = 0

    before, after = _event(Cash | Card), _event(Cash | Card, version=2)
    _raise(after, Old)

    assert _read(before, after, before(field=CARD)).field == CARD


OTHER: Any = type("Card", (BaseModel,), {"__annotations__": {"cents": int}, "__module__": "other"})


def test_names_that_are_equal_are_numbered_by_their_order() -> None:
    """Two classes of one name, in one message: the same at each derivation."""
    annotation = dict[str, Card] | list[Cash | OTHER]
    event = _event(annotation)

    read = _read(event, event, event(field=[OTHER(cents=1)]))

    assert type(read.field[0]) is OTHER
    assert AvroCodec().schema_of(event) == AvroCodec().schema_of(_event(annotation))


@pytest.mark.parametrize(
    "annotation",
    [Card | OTHER, list[Cash | OTHER | Card | None], tuple[Card, OTHER], enum.Enum("Card", {"A": "a"}) | OTHER],
    ids=str,
)
def test_a_union_of_two_classes_of_one_name_is_refused(annotation: Any) -> None:
    """In another order each would be read as the other."""
    with pytest.raises(
        FieldNotSupported, match=r"Paid\.field.*\.Card and .*\.Card have one name, by which readers tell"
    ):
        AvroCodec().schema_of(_event(annotation))


def test_upcasts_read_what_a_union_of_two_classes_of_one_name_wrote() -> None:
    """Their models may have such a union, in the order in which it was written."""

    class Old(BaseModel):
        field: Card | OTHER  # pyright: ignore[reportInvalidTypeForm] - a class that is made

    found = AvroCodec().load(Old, {"field": noted("_Card_2", dict)({"cents": 5})})

    assert type(vars(found)["field"]) is OTHER
