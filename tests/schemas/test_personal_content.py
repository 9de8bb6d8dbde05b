"""What a Personal holds: kept as it is, or refused; shown by no error; of a type that is part of the schema."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, Field, ValidationError, create_model

from schemas import Event, FieldNotSupported, Incompatible, MemoryRegistry, Serde, Unencodable
from schemas.definition import DefinitionError
from schemas.personal_content import PersonalOfOtherType
from schemas.personal_data import Personal, Redacted, personal
from schemas.personal_fields import PersonalOfAnother, SubjectMissing, map_personal
from tests.schemas.rings import Ring

SECRET = "Ada Lovelace"
FORMATS = ["avro", "json"]


class Kin(BaseModel):
    who: str
    name: Personal[str] = personal(subject="who")
    kids: list[Kin] = []


class Family(Event, name="personal.family"):
    head: Kin


class Early(Event, name="personal.early"):
    who: str
    address: Later | None = None
    name: Personal[str] | None = personal(subject="who", default=None)


class Later(BaseModel):
    street: str


class Country(BaseModel):
    code: str


class Address(BaseModel):
    street: str
    country: Country


class Tree(BaseModel):
    value: int
    default: list[Tree] = []


class Kept(BaseModel):
    street: str = Field("-", alias="Street", serialization_alias="STREET")


class Shares(Event, name="personal.shares"):
    who: str
    address: Personal[Kept] | None = personal(subject="who", default=None)
    ratio: Personal[float] | None = personal(subject="who", default=None)


def event_of(annotation: Any) -> Any:
    """A class that holds personal data of this type."""

    class Told(Event, name="personal.told"):
        who: str | None
        told: annotation | None = personal(subject="who", default=None)  # pyright: ignore[reportInvalidTypeForm]

    return Told


@pytest.mark.parametrize("format", FORMATS)
def test_models_that_hold_their_own_kind_are_sealed_too(ring: Ring, format: Any) -> None:
    """Each for its own subject, and forgotten with it."""
    family = Family(head=Kin(who="ann", name=Personal("Ann"), kids=[Kin(who="bob", name=Personal("Bob"))]))
    serde = Serde(MemoryRegistry(), [Family], format=format)
    back = serde.decode(serde.encode(map_personal(family, ring.seal)))

    assert isinstance(back, Family)
    [bob] = back.head.kids
    assert bob.name.subject == "bob"
    del ring.keys["bob"]
    assert bob.name.reveal() == Redacted("bob")
    assert back.head.name.reveal() == "Ann"


def test_a_child_does_not_take_what_is_of_another(ring: Ring) -> None:
    """Forgetting Bob would leave his name readable."""
    ann = ring.seal(Personal("Ann"), "ann")
    family = Family(head=Kin(who="ann", name=ann, kids=[Kin(who="bob", name=ann)]))
    with pytest.raises(PersonalOfAnother, match="about bob"):
        Serde(MemoryRegistry(), [Family]).encode(family)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Personal[UUID | str], "6fa459ea-ee8a-3ca4-894e-db77e160355e"),
        (Personal[Decimal | str], "1.1"),
        (Personal[bytes], b"\xff"),
        (Personal[list[float] | None], "no list"),
        (Personal[datetime], datetime(1800, 1, 1, tzinfo=timezone(timedelta(seconds=1172)))),
        (Personal[Any], datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_what_would_come_back_as_something_else_is_refused(annotation: Any, value: Any) -> None:
    """When its field gets it, and without being shown."""
    with pytest.raises(ValidationError, match=r"this personal data (cannot be sealed: JSON does not keep it|is no )"):
        event_of(annotation)(who="ada", told=Personal(value))


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Personal[datetime], datetime(2020, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))),
        (Personal[list[datetime]], [datetime(2020, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))]),
        (Personal[datetime], datetime(2020, 10, 25, 2, 30)),  # noqa: DTZ001 - naive ones are kept too
        (Personal[dict[str, float]], {"a": float("inf")}),
        (Personal[set[int]], {3, 1, 2}),
        (Personal[tuple[int, str]], (1, "x")),
        (Personal[Decimal], Decimal("1.10")),
    ],
)
def test_what_json_keeps_is_taken(ring: Ring, annotation: Any, value: Any) -> None:
    """Also what Python does not find equal to itself: instants of the hour that summer time repeats."""
    told = map_personal(event_of(annotation)(who="ada", told=Personal(value)), ring.seal)
    assert str(told.told.reveal())[:10] == str(value)[:10]


def test_a_value_that_no_field_looked_at_is_refused_when_it_is_sealed(ring: Ring) -> None:
    """With a named error."""
    with pytest.raises(Unencodable, match="JSON does not keep it"):
        ring.seal(Personal(b"\xff"), "ada")


def test_fields_are_sealed_by_their_names(ring: Ring) -> None:
    """As in messages, aliases take no part; numbers that JSON lacks are kept where pydantic keeps them."""
    shares = map_personal(
        Shares(who="ada", address=Personal(Kept(Street="Main 1")), ratio=Personal(float("nan"))), ring.seal
    )
    serde = Serde(MemoryRegistry(), [Shares])
    back = serde.decode(serde.encode(shares))
    assert isinstance(back, Shares)
    assert back.address is not None
    assert back.address.reveal() == Kept(Street="Main 1")
    assert back.ratio is not None
    assert repr(back.ratio.reveal()) == "nan"


@pytest.mark.parametrize("given", [Personal(SECRET), SECRET, [SECRET], Personal([SECRET]), {"a": SECRET}])
def test_no_error_of_a_message_shows_the_value(given: Any) -> None:
    """Nor does what is raised beside it."""
    with pytest.raises(ValidationError) as raised:
        event_of(Personal[int])(who="ada", told=given)
    assert SECRET not in f"{raised.value} {raised.value!r}"
    assert SECRET not in "".join(traceback.format_exception(raised.value))


def test_nor_does_one_of_a_class_that_was_completed_later() -> None:
    """What it names was defined after it."""
    with pytest.raises(ValidationError) as raised:
        Early(who="ada", name=SECRET)  # type: ignore[arg-type]
    assert SECRET not in str(raised.value)


class Guest(BaseModel):
    who: str
    name: Personal[str] = personal(subject="who")


class Party(BaseModel):
    guests: list[Guest] = []
    at: int = 0


def test_nor_does_one_of_a_model_that_stands_in_a_message() -> None:
    """Also of the model by itself, and of one that holds it: dead letters keep the texts of errors."""

    class Invited(Event, name="sample.invited"):
        party: Party | None = None

    assert Invited().party is None
    for wrong in (lambda: Guest(who="ada", name=SECRET), lambda: Party(at=SECRET)):  # type: ignore[arg-type]
        with pytest.raises(ValidationError) as raised:
            wrong()
        assert SECRET not in f"{raised.value} {raised.value!r}"


def test_a_value_of_another_type_is_told_and_not_shown(ring: Ring) -> None:
    """Errors go to logs and dead letters, where nothing is forgotten."""
    sealed = ring.seal(Personal(SECRET), "ada").sealed
    with pytest.raises(
        PersonalOfOtherType, match=r"personal data of ada is no int: .*Personal\[int \| str\]"
    ) as raised:
        Personal.from_sealed(sealed, int).reveal()

    error: BaseException | None = raised.value
    while error is not None:
        assert SECRET not in repr(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("format", FORMATS)
def test_a_type_that_changes_is_incompatible(format: Any) -> None:
    """What was sealed before cannot be read as the new one. One that takes both may follow."""
    registry = MemoryRegistry()
    Serde(registry, [event_of(Personal[str])], format=format)
    with pytest.raises(Incompatible, match=r"told was .*sagalog-personal of string.*, is .*sagalog-personal of long"):
        Serde(registry, [event_of(Personal[int])], format=format)
    Serde(registry, [event_of(Personal[str | int])], format=format)


@pytest.mark.parametrize("kind", [Address, list[Address], Tree, Address | Country])
@pytest.mark.parametrize("format", FORMATS)
def test_models_inside_of_models_have_a_schema(ring: Ring, kind: Any, format: Any) -> None:
    """Also recursive ones; the message may hold one of the same name, which is another."""
    held = Tree(value=1, default=[Tree(value=2)]) if kind is Tree else Address(street="S", country=Country(code="de"))

    class Told(Event, name="personal.told"):
        who: str
        told: Personal[kind] = personal(subject="who")  # pyright: ignore[reportInvalidTypeForm]
        country: Country

    value: Any = [held] if kind == list[Address] else held
    told = map_personal(Told(who="ada", told=Personal(value), country=Country(code="fr")), ring.seal)
    serde = Serde(MemoryRegistry(), [Told], format=format)
    back = serde.decode(serde.encode(told))

    assert isinstance(back, Told)
    assert back.told.reveal() == value


@pytest.mark.parametrize("format", FORMATS)
def test_a_field_that_a_model_inside_of_a_model_needs_anew_is_incompatible(format: Any) -> None:
    """However deep it stands in what is sealed."""
    wider: Any = create_model("Country", code=(str, ...), size=(int, ...))
    address: Any = create_model("Address", street=(str, ...), country=(wider, ...))
    registry = MemoryRegistry()
    Serde(registry, [event_of(Personal[Address])], format=format)
    with pytest.raises(Incompatible, match=r"told\.country\.size \(long\) was added without a default"):
        Serde(registry, [event_of(Personal[address])], format=format)


def test_a_model_that_lost_a_field_reads_what_had_it(ring: Ring) -> None:
    """As outside of personal data, also if it takes no more than its fields elsewhere."""

    class Street(BaseModel, extra="forbid"):
        street: str

    sealed = ring.seal(Personal(Address(street="Main 1", country=Country(code="de"))), "ada").sealed
    assert Personal.from_sealed(sealed, Street).reveal() == Street(street="Main 1")


def test_a_model_that_takes_more_keeps_it(ring: Ring) -> None:
    """What it holds beside its fields is sealed, and read again."""

    class Open(BaseModel, extra="allow"):
        street: str

    opened = Open.model_validate({"street": "Main 1", "door": 3})
    sealed = ring.seal(Personal(opened), "ada").sealed
    assert Personal.from_sealed(sealed, Open).reveal() == opened


@pytest.mark.parametrize("format", FORMATS)
def test_what_has_no_json_is_refused_by_name(format: Any) -> None:
    """When the schema is made."""

    class Odd:
        pass

    with pytest.raises(FieldNotSupported, match=r"Told.*Odd"):
        Serde(MemoryRegistry(), [event_of(Personal[Odd])], format=format)


def test_nobody_is_no_subject(ring: Ring) -> None:
    """Nameless people would share a key. Without personal data nobody needs to be named."""
    told = event_of(Personal[str])
    assert map_personal(told(who=None), ring.seal) == told(who=None)
    with pytest.raises(SubjectMissing, match=r"Told.told holds personal data of nobody, its who is None"):
        map_personal(told(who=None, told=Personal("x")), ring.seal)


def test_a_default_that_nobody_sealed_is_refused_at_import() -> None:
    """It would be sealed for nobody."""
    with pytest.raises(DefinitionError, match=r"Shown\.name has personal data as its default"):

        class Shown(Event, name="personal.shown"):  # pyright: ignore[reportUnusedClass]
            who: str
            name: Personal[str] = personal(subject="who", default=Personal("x"))


def test_an_upcast_of_models_passes_sealed_values_on_in_both_formats(ring: Ring) -> None:
    """It gets the old class, and gives fields."""

    class Old(Event, name="personal.seen"):
        who: str
        name: Personal[str] = personal(subject="who")

    class New(Event, name="personal.seen", version=2):
        who: str
        full: Personal[str] = personal(subject="who")

    @New.upcast(from_version=1)
    def _(old: Old) -> dict[str, Any]:
        return {"who": old.who, "full": old.name}

    for format_ in FORMATS:
        registry = MemoryRegistry()
        old = map_personal(Old(who="ada", name=Personal("Ada")), ring.seal)
        data = Serde(registry, [Old], format=format_).encode(old)  # type: ignore[arg-type]
        back = Serde(registry, [New], format=format_).decode(data)  # type: ignore[arg-type]
        assert isinstance(back, New)
        assert back.full.reveal() == "Ada"
