"""Personal data whose type has another name: sealed and hidden as if it stood there itself."""

from __future__ import annotations

from typing import Annotated, Any, NewType, Optional, TypeVar

import pytest
from pydantic import BaseModel, ValidationError
from typing_extensions import TypeAliasType

from schemas import Event
from schemas.definition import DefinitionError
from schemas.personal_data import Personal, PersonalOpen, personal
from schemas.personal_fields import check_sealed, map_personal
from tests.schemas.rings import Ring

SECRET = "Ada Lovelace"


class Person(BaseModel):
    who: str
    name: Personal[str] = personal(subject="who")


T = TypeVar("T")
Named = TypeAliasType("Named", Personal[str])
Wrapped = NewType("Wrapped", Named)
Perhaps = TypeAliasType("Perhaps", Optional[T], type_params=(T,))  # noqa: UP045 - of a type to come
Somebody = TypeAliasType("Somebody", Person)


def event_of(annotation: Any) -> Any:
    """A class that holds personal data of this type."""

    class Told(Event, name="aliases.told"):
        who: str
        told: annotation | None = personal(subject="who", default=None)  # pyright: ignore[reportInvalidTypeForm]

    return Told


@pytest.mark.parametrize(
    "annotation",
    [
        Named, Wrapped, list[Named], dict[str, Wrapped], Named | None, Perhaps[Named], Perhaps[Personal[str]],
        Annotated[Named, "any"],
    ],
)  # fmt: skip
def test_personal_data_behind_an_alias_is_sealed_and_hidden(ring: Ring, annotation: Any) -> None:
    """The alias names the same type."""
    told = event_of(annotation)
    value: Any = Personal("Ada")
    value = [value] if annotation == list[Named] else {"a": value} if annotation == dict[str, Wrapped] else value
    check_sealed(map_personal(told(who="ada", told=value), ring.seal))
    with pytest.raises(PersonalOpen, match=r"Told\.told"):
        check_sealed(told(who="ada", told=value))

    with pytest.raises(ValidationError) as raised:
        told(who="ada", told=SECRET)
    assert SECRET not in str(raised.value)


def test_models_behind_an_alias_are_looked_into(ring: Ring) -> None:
    """Their personal data is sealed."""

    class Met(Event, name="aliases.met"):
        whom: Somebody

    met = map_personal(Met(whom=Person(who="ann", name=Personal("Ann"))), ring.seal)
    assert met.whom.name.subject == "ann"


def test_an_alias_without_a_subject_is_refused_at_import() -> None:
    """As what it stands for."""
    with pytest.raises(DefinitionError, match="holds personal data of nobody"):

        class Told(Event, name="aliases.nobody"):  # pyright: ignore[reportUnusedClass]
            name: Named
