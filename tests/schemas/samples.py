"""Messages of every kind of field, and strategies that fill them."""

from __future__ import annotations

import enum
import math
import typing
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from schemas import Command, Event, Message, Refusal, Reply


class Color(enum.Enum):
    RED = "red"
    DARK_BLUE = "dark_blue"


class Rank(enum.IntEnum):
    LOW = 1
    HIGH = 9


class Dashed(enum.StrEnum):
    A = "a-b"
    B = "c d"


class Point(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="strings")

    x: int
    y: float = 0.0


class Place(BaseModel):
    x: int
    y: float = 0.0


class Tree(BaseModel):
    label: str
    children: list[Tree] = Field(default_factory=list["Tree"])
    parent_at: datetime | None = None
    kind: Color | None = None


class Visit(BaseModel):
    at: datetime
    before: Visit | None = None


class Everything(Event, name="sample.everything", version=3):
    text: str
    number: int
    ratio: float
    flag: bool
    raw: bytes
    amount: Decimal
    price: Annotated[Decimal, Field(max_digits=12, decimal_places=2)]
    id: UUID
    at: datetime
    day: date
    hour: time
    span: timedelta
    color: Color
    rank: Rank
    dashed: Dashed
    literal: Literal["a", "b c"]
    maybe: str | None = None
    maybe_at: datetime | None = None
    either: int | str | bool | None = "x"
    shape: Point | Place | None = None
    point: Point | None = None
    points: list[Point] = Field(default_factory=list[Point])
    by_name: dict[str, Point] = Field(default_factory=dict)
    choices: list[int | str] = Field(default_factory=list[int | str])
    tags: set[str] = Field(default_factory=set)
    pair: tuple[int, int] = (0, 0)
    several: tuple[str, ...] = ()
    grid: dict[str, list[list[int]]] = Field(default_factory=dict)
    color_or_text: Color | str = "plain"
    tree: Tree | None = None
    visit: Visit | dict[str, datetime] | list[datetime] | None = None


class Flat(Event, name="sample.flat"):
    """Ten plain fields, as most events have them."""

    order_id: str
    customer: str
    quantity: int
    total_cents: int
    discount: float
    express: bool
    currency: str
    note: str | None
    weight: int
    placed_at: datetime


class Reserved(Reply):
    ref: str


class SoldOut(Refusal):
    sku: str


class Reserve(Command[Reserved, SoldOut], to="stock", key="sku"):
    sku: str
    quantity: int = 1


class Release(Command[None], to="stock", key="sku"):
    sku: str


_COLORS = [color.value for color in Color]
longs = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
floats = st.floats(allow_nan=False)
zones = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))])
instants = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=zones)  # noqa: DTZ001 - zones are apart
spans = st.timedeltas(timedelta(days=-10_000), timedelta(days=10_000))
amounts = st.decimals(allow_nan=False, allow_infinity=False)
prices = st.decimals(Decimal(-(10**9)), Decimal(10**9), places=2, allow_nan=False)
points = st.builds(Point, x=longs, y=floats)
places = st.builds(Place, x=longs, y=floats)
trees: st.SearchStrategy[Tree] = st.recursive(
    st.builds(Tree, label=texts, parent_at=st.none() | instants, kind=st.none() | st.sampled_from(Color)),
    lambda inner: st.builds(Tree, label=texts, children=st.lists(inner, max_size=3)),
    max_leaves=5,
)
visits = st.builds(Visit, at=instants, before=st.none() | st.builds(Visit, at=instants))
flats = st.builds(
    Flat, order_id=texts, customer=texts, quantity=longs, total_cents=longs, discount=floats, express=st.booleans(),
    currency=texts, note=st.none() | texts, weight=longs, placed_at=instants,
)  # fmt: skip


def everythings(*, alike: bool) -> st.SearchStrategy[Everything]:
    """Fill every field. `alike`: also with members of unions that look alike in JSON."""
    shapes: list[Any] = [points, places] if alike else [points]
    return st.builds(
        Everything, text=texts, number=longs, ratio=floats, flag=st.booleans(), raw=st.binary(max_size=20),
        amount=amounts, price=prices, id=st.uuids(), at=instants, day=st.dates(), hour=st.times(), span=spans,
        color=st.sampled_from(Color), rank=st.sampled_from(Rank), dashed=st.sampled_from(Dashed),
        literal=st.sampled_from(["a", "b c"]), maybe=st.none() | texts, maybe_at=st.none() | instants,
        either=st.none() | st.booleans() | longs | texts, shape=st.none() | st.one_of(shapes), point=st.none() | points,
        points=st.lists(points, max_size=3), by_name=st.dictionaries(texts, points, max_size=3),
        choices=st.lists(longs | texts, max_size=3), tags=st.sets(texts, max_size=3), pair=st.tuples(longs, longs),
        several=st.lists(texts, max_size=3).map(tuple),
        grid=st.dictionaries(texts, st.lists(st.lists(longs)), max_size=2),
        color_or_text=st.sampled_from(Color) | texts if alike else texts.filter(lambda text: text not in _COLORS),
        tree=st.none() | trees,
        visit=st.none() | (visits | st.dictionaries(texts, instants) if alike else visits) | st.lists(instants),
    )  # fmt: skip


def same(one: Message, other: Message) -> bool:
    """Equal, and of equal types all through; NaN equals itself."""
    return type(one) is type(other) and one == other and repr_of(one) == repr_of(other)


def repr_of(value: Any) -> Any:
    """What tells values apart that are equal: `1`, `1.0` and `True`. Instants count by what they are in UTC."""
    if isinstance(value, BaseModel):
        return type(value), {name: repr_of(each) for name, each in vars(value).items()}
    if isinstance(value, list | tuple):
        return [repr_of(each) for each in value]  # pyright: ignore[reportUnknownVariableType] - any value at all
    if isinstance(value, dict):
        return {name: repr_of(each) for name, each in value.items()}  # pyright: ignore[reportUnknownVariableType] - any value at all
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, float):
        return math.copysign(1, value), value
    if isinstance(value, Decimal):
        return value.normalize()
    return type(value), value


def plain(value: Any) -> Any:
    """What a value is, whatever enum or container holds it."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, BaseModel):
        return plain(vars(value))
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}  # pyright: ignore[reportUnknownVariableType] - any
    if isinstance(value, set):
        return sorted(map(plain, value))  # pyright: ignore[reportUnknownArgumentType] - any value at all
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]  # pyright: ignore[reportUnknownVariableType] - any value at all
    return value


def leaves(value: Any) -> Iterator[Any]:
    """What containers hold; a model is one value."""
    if isinstance(value, dict):
        value = list(value.values())  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - any
    if isinstance(value, list | tuple):
        for each in value:  # pyright: ignore[reportUnknownVariableType] - any value at all
            yield from leaves(each)
    else:
        yield value


def classes(annotation: Any) -> set[type]:
    """The enums and models that a type names."""
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum | BaseModel):
        return {annotation}
    parts = typing.get_args(annotation)
    return {type(part) for part in parts if isinstance(part, enum.Enum)}.union(*map(classes, parts))


def is_told(value: Any, annotation: Any, *, is_named: bool) -> bool:
    """Whether the type holds the value's class, and no other enum that has the value, unless enums are named."""
    known = classes(annotation)
    alike = [each for each in known if issubclass(each, enum.Enum) and plain(value) in map(plain, each)]
    return type(value) in known and (is_named or len(alike) < 2)
