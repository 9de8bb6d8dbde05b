"""Personal data in messages: sealed wherever it is written, readable while the key is at hand (E4)."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from datetime import date
from functools import partial
from io import BytesIO
from types import new_class
from typing import Annotated, Any, Literal

import fastavro
import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from schemas import Command, DefinitionError, Event, Message, Serde, sealing
from schemas.personal_data import (
    KeysNotAtHand,
    Personal,
    PersonalOpen,
    Redacted,
    drop_keyring,
    personal,
    use_keyring,
)
from schemas.personal_fields import PersonalOfAnother, holds_personal, map_personal
from schemas.registry import MemoryRegistry
from schemas.sealing import CryptoMissing, PersonalDamaged, parse
from schemas.wire import HEADER_BYTES
from tests.schemas.rings import Ring

FORMATS = ["avro", "json"]


class Registered(Event, name="customer.registered"):
    customer_id: str
    name: Personal[str] = personal(subject="customer_id")
    born: Personal[date] | None = personal(subject="customer_id", default=None)


class Moved(Event, name="customer.moved"):
    customer_id: str
    full_name: Personal[str] = personal(subject="customer_id")


class Passenger(BaseModel):
    model_config = ConfigDict(frozen=True)
    person: str
    passport: Personal[str] = personal(subject="person")


class Booked(Event, name="flight.booked"):
    flight: str
    passengers: list[Passenger]
    notes: dict[str, Personal[str]] = personal(subject="flight")


class Book(Command[None], to="flights", key="person"):
    person: str
    card: Personal[str] = personal(subject="person")


class Plain(Event, name="nothing.personal"):
    text: str


def ada(ring: Ring) -> Registered:
    """An event whose personal data is sealed."""
    event = Registered(customer_id="customer-17", name=Personal("Ada"), born=Personal(date(1815, 12, 10)))
    return map_personal(event, ring.seal)


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_written_comes_back_and_can_be_read(ring: Ring, format: Any) -> None:
    """Both codecs: the value and its type."""
    serde = Serde(MemoryRegistry(), [Registered], format=format)

    back = serde.decode(serde.encode(ada(ring)))

    assert isinstance(back, Registered)
    assert back.name.reveal() == "Ada"
    assert back.born is not None
    assert back.born.reveal() == date(1815, 12, 10)


@pytest.mark.parametrize("format", FORMATS)
def test_bytes_do_not_hold_the_value(ring: Ring, format: Any) -> None:
    """E4: the log gets ciphertext."""
    encoded = Serde(MemoryRegistry(), [Registered], format=format).encode(ada(ring))

    assert b"Ada" not in encoded
    assert b"1815" not in encoded


@pytest.mark.parametrize("format", FORMATS)
def test_the_value_goes_with_the_key(ring: Ring, format: Any) -> None:
    """E4: also for what was decoded before; a redaction is a value, not an error."""
    serde = Serde(MemoryRegistry(), [Registered], format=format)
    encoded = serde.encode(ada(ring))
    before = serde.decode(encoded)

    ring.keys.clear()

    after = serde.decode(encoded)
    assert isinstance(before, Registered)
    assert isinstance(after, Registered)
    assert before.name.reveal() == after.name.reveal() == Redacted(subject="customer-17")
    assert after.customer_id == "customer-17"


@pytest.mark.parametrize("format", FORMATS)
def test_an_open_value_is_not_written(format: Any) -> None:
    """By name, and saying where it stands."""
    serde = Serde(MemoryRegistry(), [Registered], format=format)

    with pytest.raises(PersonalOpen, match=r"Registered\.name"):
        serde.encode(Registered(customer_id="a", name=Personal("Ada")))


def test_a_value_of_another_subject_is_not_written(ring: Ring) -> None:
    """Forgetting the one that the message names would not reach it."""
    serde = Serde(MemoryRegistry(), [Registered])
    stolen = Registered(customer_id="customer-18", name=ada(ring).name)

    with pytest.raises(PersonalOfAnother, match=r"customer-18 .* customer-17"):
        serde.encode(stolen)


def test_a_sealed_value_is_copied_without_a_key(ring: Ring) -> None:
    """A decision copies from a command to an event of another type and field; nothing is decrypted."""
    sealed = ada(ring)
    drop_keyring(ring)

    moved = Moved(customer_id="customer-17", full_name=sealed.name)
    encoded = Serde(MemoryRegistry(), [Moved]).encode(moved)

    use_keyring(ring)
    assert sealed.name.sealed in encoded
    assert moved.full_name.reveal() == "Ada"


@pytest.mark.parametrize("format", FORMATS)
def test_models_inside_have_subjects_of_their_own(ring: Ring, format: Any) -> None:
    """Each passenger is forgotten alone; lists and maps are walked."""
    people = [Passenger(person=each, passport=Personal(f"pass of {each}")) for each in ("ada", "bob")]
    booked = Booked(flight="F1", passengers=people, notes={"meal": Personal("halal")})
    serde = Serde(MemoryRegistry(), [Booked], format=format)
    encoded = serde.encode(map_personal(booked, ring.seal))

    del ring.keys["ada"]

    back = serde.decode(encoded)
    assert isinstance(back, Booked)
    assert [each.passport.reveal() for each in back.passengers] == [Redacted("ada"), "pass of bob"]
    assert back.notes["meal"].reveal() == "halal"
    with pytest.raises(PersonalOpen, match=r"Passenger\.passport"):
        serde.encode(booked.model_copy(update={"notes": {}}))


def test_nothing_shows_the_value(ring: Ring) -> None:
    """Logs and tracebacks print messages."""
    fresh = Registered(customer_id="customer-17", name=Personal("Ada"))
    for shown in (fresh, ada(ring), fresh.name, ada(ring).name):
        assert "Ada" not in f"{shown!r} {shown}"
    with pytest.raises(ValidationError) as refused:
        Registered.model_validate({"customer_id": 1, "name": Personal("Ada")})
    assert "Ada" not in str(refused.value)


def test_a_changed_ciphertext_is_an_error(ring: Ring) -> None:
    """A redaction would hide it: damage and forgetting are told apart, whichever byte was changed."""
    sealed = ada(ring).name.sealed
    for at in range(len(sealed)):
        changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        try:
            found = Personal[Any].from_sealed(changed).reveal()
        except PersonalDamaged:
            continue
        assert isinstance(found, Redacted), at  # it names another key now, which nobody has


def test_a_ciphertext_is_bound_to_its_subject(ring: Ring) -> None:
    """Rewritten to another subject with the same key, it does not open."""
    sealed = ada(ring).name.sealed
    ring.keys["customer-18"] = ring.keys["customer-17"]

    with pytest.raises(PersonalDamaged, match="customer-18"):
        Personal[str].from_sealed(sealed.replace(b"customer-17", b"customer-18")).reveal()


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x02" + bytes(60), b"\x01" + bytes(16) + b"\xff\xff", bytes(70)])
def test_what_is_no_sealed_value_is_told(data: bytes) -> None:
    """Named errors only."""
    with pytest.raises(PersonalDamaged):
        parse(data)


def test_the_same_value_is_never_sealed_alike(ring: Ring) -> None:
    """Nonces are random: equal values cannot be told from the log."""
    assert ada(ring).name.sealed != ada(ring).name.sealed


def test_without_keys_the_error_says_what_to_run(ring: Ring) -> None:
    """That is no forgetting, and must not look like it."""
    name = ada(ring).name
    drop_keyring(ring)

    with pytest.raises(KeysNotAtHand, match="customer-17"):
        name.reveal()

    use_keyring(ring)


def test_a_foreign_reader_sees_ciphertext(ring: Ring) -> None:
    """By the registered schema alone, in both formats: bytes, or a string."""
    for format_ in ("avro", "json"):
        registry = MemoryRegistry()
        data = Serde(registry, [Registered], format=format_).encode(ada(ring))
        schema = registry.get(int.from_bytes(data[1:5], "big"))
        assert schema is not None
        if format_ == "avro":
            parsed: Any = fastavro.parse_schema(json.loads(schema.text))
            fields: Any = fastavro.schemaless_reader(BytesIO(data[HEADER_BYTES:]), parsed, None)
            assert isinstance(fields["name"], bytes)
        else:
            fields = json.loads(data[HEADER_BYTES:])
            assert isinstance(fields["name"], str)
        assert fields["customer_id"] == "customer-17"
        assert "Ada" not in str(fields)


def test_an_upcast_passes_sealed_values_on(ring: Ring) -> None:
    """It needs no key; in both formats."""

    class Old(Event, name="customer.seen"):
        who: str
        name: Personal[str] = personal(subject="who")

    class New(Event, name="customer.seen", version=2):
        who: str
        full_name: Personal[str] = personal(subject="who")

    @New.upcast(from_version=1)
    def _(old: dict[str, Any]) -> dict[str, Any]:
        return {"who": old["who"], "full_name": old["name"]}

    for format_ in FORMATS:
        registry = MemoryRegistry()
        old = Old(who="customer-17", name=Personal("Ada"))
        data = Serde(registry, [Old], format=format_).encode(map_personal(old, ring.seal))  # type: ignore[arg-type]
        back = Serde(registry, [New], format=format_).decode(data)  # type: ignore[arg-type]
        assert isinstance(back, New)
        assert back.full_name.reveal() == "Ada"


def test_a_field_that_is_declared_personal_and_would_be_written_open_is_refused_at_import() -> None:
    """A type that was forgotten never lets data through that somebody declared to be personal."""
    with pytest.raises(DefinitionError, match=r"Open\.name is declared to be personal data.*: write Personal\[str\]"):

        class Open(Event, name="open"):  # pyright: ignore[reportUnusedClass]
            who: str
            name: str = personal(subject="who")

    with pytest.raises(DefinitionError, match=r"Inner\.names is declared to be personal data.*: write Personal\[…\]"):

        class Outer(Event, name="outer"):  # pyright: ignore[reportUnusedClass]
            inner: Inner


class Inner(BaseModel):
    who: str
    names: list[str] | None = personal(subject="who")


@pytest.mark.parametrize(
    "kind", [Personal[str] | str, list[Personal[str] | str] | None, dict[str, Annotated[Personal[int] | int, "years"]]]
)
def test_a_personal_field_that_may_hold_plain_values_is_refused_at_import(kind: Any) -> None:
    """They would be written as they are, and `forget` would not reach them."""
    with pytest.raises(DefinitionError, match=r"Half\.name may hold (str|int) in place of a Personal"):
        new_class("Half", (Event,), {"name": "half"}, partial(_declare, kind))


@pytest.mark.parametrize("kind", [Personal[str] | None, Personal[str] | Literal["unknown"], list[Personal[str]] | None])
def test_a_personal_field_may_hold_what_is_nobodys_instead(kind: Any) -> None:
    """None, and values that the type names."""
    new_class("Whole", (Event,), {"name": "whole"}, partial(_declare, kind))


def _declare(kind: Any, body: dict[str, Any]) -> None:
    body.update(__module__=__name__, __annotations__={"who": str, "name": kind}, name=personal(subject="who"))


def test_a_field_without_a_subject_is_refused_at_import() -> None:
    """And one whose subject is no field."""
    with pytest.raises(DefinitionError, match=r"Lost\.name holds personal data of nobody"):

        class Lost(Event, name="lost"):  # pyright: ignore[reportUnusedClass]
            who: str
            name: Personal[str]

    with pytest.raises(DefinitionError, match=r"Wrong\.name has subject='whom'"):

        class Wrong(Event, name="wrong"):  # pyright: ignore[reportUnusedClass]
            who: str
            name: Personal[str] = personal(subject="whom")


def test_a_plain_value_is_refused() -> None:
    """So that nobody writes a name in the clear by mistake; and one of a wrong type."""
    for given in ({"name": "Ada"}, {"name": Personal(17)}):
        with pytest.raises(ValidationError):
            Registered.model_validate({"customer_id": "a", **given})


def test_types_without_personal_data_pay_nothing() -> None:
    """Their encoder is the codec's own."""
    serde = Serde(MemoryRegistry(), [Plain, Registered])

    assert [holds_personal(each) for each in (Plain, Registered, Booked, Book)] == [False, True, True, True]
    assert "_sealed_only" not in serde._encoders[Plain].__qualname__
    assert "_sealed_only" in serde._encoders[Registered].__qualname__


def test_a_value_cannot_be_changed(ring: Ring) -> None:
    """It can be pickled, compared, and be a key."""
    value = ada(ring).name

    with pytest.raises(AttributeError, match="immutable"):
        value._sealed = b""
    assert pickle.loads(pickle.dumps(value)) == value
    assert {value: 1}[value] == 1
    assert Personal("a") == Personal("a") != Personal("b")
    assert value != Personal("Ada")


def test_messages_are_messages(ring: Ring) -> None:
    """A command with personal data goes by its key like any other."""
    command: Message = map_personal(Book(person="ada", card=Personal("4111")), ring.seal)

    assert Serde(MemoryRegistry(), [Book]).decode(Serde(MemoryRegistry(), [Book]).encode(command)) == command


def test_without_the_package_the_error_names_the_extra(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has no personal data does not need it."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    sealing._aes_gcm.cache_clear()

    with pytest.raises(CryptoMissing, match=r"pip install 'sagalog\[crypto\]'"):
        ada(ring)


def test_the_package_is_imported_when_it_is_needed_only() -> None:
    """It takes longer to import than all of ours."""
    program = "import sys\nfrom sagalog import EventStore, Personal, Service\nprint('cryptography' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == "False\n"
