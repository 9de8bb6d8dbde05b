"""JSON that is kept as text reads back as what it was, or is refused by name."""

from __future__ import annotations

import enum
from typing import Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, PrivateAttr, create_model

from schemas import Unencodable
from schemas.kept_json import kept_json, read_kept


class Cash(BaseModel):
    cents: int


class Card(BaseModel):
    cents: int


class Voucher(BaseModel):
    kind: Literal["voucher"] = "voucher"
    cents: int


class Level(enum.Enum):
    LOW = "low"


class Order(BaseModel):
    method: Cash | Card | Voucher = Cash(cents=1)
    parts: list[Cash | Card] = []
    by: dict[str, Level | str] = {}
    id: UUID | str | None = None


@pytest.mark.parametrize(
    "order",
    [
        Order(),
        Order(method=Cash(cents=5), parts=[Cash(cents=1)]),
        Order(method=Voucher(cents=5)),
        Order(id=UUID(int=1)),
        Order(id="a", by={"b": "high"}),
    ],
)
def test_what_reads_back_is_written(order: Order) -> None:
    """Most unions do."""
    assert Order.model_validate_json(kept_json(order)) == order


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (
            Order(method=Card(cents=5)),
            r'field method, Card comes back as Cash.*such as kind: Literal\["card"\] = "card"',
        ),
        (Order(parts=[Cash(cents=1), Card(cents=1)]), "field parts, what it holds comes back as something else"),
        (Order(id=str(UUID(int=1))), "field id, str comes back as UUID"),
    ],
)
def test_what_would_read_back_as_something_else_is_refused(order: Order, said: str) -> None:
    """The field is named, and what to do."""
    with pytest.raises(Unencodable, match=f"Order cannot be encoded: of its {said}"):
        kept_json(order)


class Gold(Card):
    level: int = 9


class Paid(BaseModel):
    card: Card | None = None
    rate: float = 0.0
    note: Any = None


@pytest.mark.parametrize(
    ("paid", "said"),
    [
        (Paid(card=Gold(cents=1)), "of its field card, Gold comes back as Card"),
        (Paid(note=UUID(int=1)), "of its field note, UUID comes back as str"),
        (Paid(rate=float("nan")), "its JSON cannot be read back .*rate"),
    ],
)
def test_it_is_so_without_unions_too(paid: Paid, said: str) -> None:
    """Whatever JSON loses."""
    with pytest.raises(Unencodable, match=f"Paid cannot be encoded: {said}"):
        kept_json(paid)


class Open(BaseModel, extra="allow"):
    name: str = "x"
    _seen: int = PrivateAttr(default=0)


class Tree(BaseModel, extra="allow"):
    inner: list[Tree] = []


def test_models_that_take_more_keep_it() -> None:
    """What a class has no field for is left out, but not what a model of `extra="allow"` holds beside its fields."""
    opened = Open.model_validate({"more": {"a": [1]}})
    tree = Tree.model_validate({"leaf": 1, "inner": [{"leaf": 2}]})
    before = create_model("Before", gone=(str, "g"), opened=(Open, opened), tree=(Tree, tree))
    now = create_model("Now", opened=(Open, ...), tree=(Tree, ...))

    assert read_kept(now, kept_json(before())) == now(opened=opened, tree=tree)


def test_what_is_private_is_not_written_and_in_nobodys_way() -> None:
    """Private attributes are no part of what is kept."""
    opened = Open()
    opened._seen = 7  # pyright: ignore[reportPrivateUsage] - it is this test's

    assert read_kept(Open, kept_json(opened)) == Open()
