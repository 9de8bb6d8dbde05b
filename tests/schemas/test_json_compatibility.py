"""What a registry accepts of JSON schemas, JSON reads: it has fewer words than Avro, and pydantic reads it (S10)."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, cast
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel, Field

from schemas import Event, Incompatible, MemoryRegistry, Serde
from schemas.json_shapes import DECIMAL_PROPERTY
from schemas.schema import Schema
from tests.schemas.test_accepted import event, read, refusal


class Card(BaseModel):
    x: int


class Tagged(BaseModel):
    kind: Literal["card"] = "card"
    x: int


class Cash(BaseModel):
    kind: Literal["cash"] = "cash"
    x: int


Either: Any = Annotated[Tagged | Cash, Field(discriminator="kind")]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (str, Decimal, "was string, is decimal (TYPE_MISMATCH)"),
        (list[str], list[Decimal], "field value[] was string, is decimal"),
        (Literal["a"], Decimal | None, "is decimal or null"),
        (Decimal, float | str, "was decimal, is double or string"),
        (Decimal, str, "was decimal, is string (TYPE_MISMATCH)"),
        (float, Decimal, "was double, is decimal (TYPE_MISMATCH)"),
        (str, datetime | str, "was string, is date-time or string (LOGICAL_TYPE_MISMATCH)"),
        (str | int, UUID | str | int, "is uuid or string or long (LOGICAL_TYPE_MISMATCH)"),
        (str, Decimal | str, "was string, is decimal or string (LOGICAL_TYPE_MISMATCH)"),
        (list[str | None], list[date | str | None], "field value[] was string or null"),
        (Card, Either, "(MISSING_UNION_BRANCH)"),
        (dict[str, int], dict[int, int], "was map of long, is map of long by int (TYPE_MISMATCH)"),
        (dict[int, int], dict[str, int], "was map of long by int, is map of long (TYPE_MISMATCH)"),
        (dict[str, int], dict[date, int], "was map of long, is map of long by date (TYPE_MISMATCH)"),
    ],
    ids=str,
)
def test_what_would_be_read_as_something_else_is_refused(old: Any, new: Any, said: str) -> None:
    """Text that is no number, text that became an instant, a model without the field that tells it, other keys."""
    assert said in refusal(old, new, "json")


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        (Decimal, Decimal | None, Decimal("1.50")),
        (Decimal | int, Decimal | int | None, Decimal("1.50")),
        (int, Decimal, 5),
        (date | str, date | str | None, "x"),
        (date | str, date | str | int, date(2024, 1, 2)),
        (Tagged, Either, Tagged(x=1)),
        (dict[int, int], dict[int, float], {1: 1}),
        (dict[UUID, list[int]], dict[UUID, list[int | None]], {UUID(int=1): [1]}),
    ],
    ids=str,
)
def test_what_reads_the_same_may_follow(old: Any, new: Any, value: Any) -> None:
    """A union may have had the other text before."""
    assert refusal(old, new, "json") == ""
    assert read(old, new, value, "json") == value


def test_a_default_that_a_function_makes_is_none() -> None:
    """It would be another one at each reading; an empty list is the same."""

    class Before(Event, name="sample.held"):
        value: int

    class Made(Event, name="sample.held"):
        value: int
        id: UUID = Field(default_factory=uuid4)

    class Empty(Event, name="sample.held"):
        value: int
        ids: list[UUID] = Field(default_factory=list[UUID])

    registry = MemoryRegistry()
    Serde(registry, [Before], format="json")

    with pytest.raises(Incompatible, match=r"field id \(uuid\) was added without a default"):
        Serde(registry, [Made], format="json")
    Serde(registry, [Empty], format="json")


@pytest.mark.parametrize("annotation", [Decimal, Decimal | None, list[Decimal]], ids=str)
def test_a_decimal_of_a_schema_that_does_not_say_so_may_stay_one(annotation: Any) -> None:
    """Schemas were registered before they said it."""
    registry = MemoryRegistry()
    Serde(registry, [event(annotation)], format="json")
    [said] = registry.versions("sample.held")
    text = json.dumps(_unsaid(json.loads(said.schema.text)))
    older = MemoryRegistry()
    older.register("sample.held", Schema("sample.held", 1, "json", text))

    Serde(older, [event(annotation)], format="json")

    assert [DECIMAL_PROPERTY in each.schema.text for each in older.versions("sample.held")] == [False, True]


def _unsaid(schema: Any) -> Any:
    """As pydantic writes it: unions in unions are one."""
    if isinstance(schema, list):
        return [_unsaid(each) for each in cast("Any", schema)]
    if not isinstance(schema, dict):
        return schema
    content = cast("dict[str, Any]", schema)
    made: dict[str, Any] = {key: _unsaid(value) for key, value in content.items() if key != DECIMAL_PROPERTY}
    if "anyOf" in made:
        made["anyOf"] = [one for each in made["anyOf"] for one in each.get("anyOf", [each])]
    return made
