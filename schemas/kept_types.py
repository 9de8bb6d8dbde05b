"""Which values of a type JSON may give back as something else: told from pydantic's schema of it, once per type.

Text, whole numbers, truth values, decimals, UUIDs, dates, durations, personal data, enums and literals of text or whole
numbers, and lists, sets, tuples and maps by text of these come back as they are. Instants do unless their offset has
seconds, floats unless they are written as null, a model in a field unless it is a subclass. Of everything else
(unions, models in lists, what has validators or serializers, other keys, …) each value is *doubted*: only reading it
back tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, cast

from pydantic import EncodedBytes, EncodedStr, FutureDate, FutureDatetime, InstanceOf, Json

from schemas.personal_data import KIND

_SURE: Final = frozenset({"none", "bool", "int", "str", "decimal", "uuid", "date", "timedelta"})
_INSTANTS: Final = frozenset({"datetime", "time"})
_OF_ITEMS: Final = frozenset({"list", "set", "frozenset"})
_MINUTE: Final = timedelta(minutes=1)
_TIMEDELTA: Final = "ser_json_timedelta"
_EXCLUDED: Final = ("serialization_exclude", "serialization_exclude_if")
_TEMPORAL: Final = "ser_json_temporal"
_DECODING: Final[tuple[Any, ...]] = (EncodedBytes, EncodedStr, InstanceOf, Json)
PASSING: Final = "what is in the future when it is written is not when it is read"


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a type."""

    is_doubted: bool = False
    """Whether some value may come back as something else for a reason that only reading it back tells."""
    has_numbers: bool = False
    """Whether it holds floats that are written as null if they are no numbers."""
    instants: tuple[str, ...] = ()
    """The model's fields that hold an instant or a time of day, or None."""
    inner: tuple[tuple[str, type, Kept], ...] = ()
    """The model's fields that hold another model, or None: the model's class, and what is known of it."""

    @property
    def is_sure(self) -> bool:
        """Whether every value comes back as it is."""
        return not (self.is_doubted or self.has_numbers or self.instants or self.inner)

    def is_in_doubt(self, value: Any, text: bytes) -> bool:
        """Whether this value, which was written as this text, must be read back to know."""
        if self.is_doubted or (self.has_numbers and b"null" in text):
            return True
        for name in self.instants:
            if has_odd_offset(getattr(value, name)):
                return True
        for name, model, known in self.inner:
            held = getattr(value, name)
            if held is not None and (type(held) is not model or known.is_in_doubt(held, text)):
                return True
        return False


_DOUBTED: Final = Kept(is_doubted=True)
_KNOWN: Final = Kept()


def has_odd_offset(value: Any) -> bool:
    """Whether it is an instant or time of day whose offset JSON would round: it has no seconds there."""
    offset: timedelta | None = None if value is None else value.utcoffset()
    return bool(offset and offset % _MINUTE)  # most are zero


def kept(schema: Any) -> Kept:
    """What is known of a type whose core schema, as pydantic calls it, is this."""
    while schema["type"] == "definitions":
        schema = schema["schema"]
    if schema["type"] != "model" or "serialization" in schema or schema["root_model"] or schema["custom_init"]:
        return _joined([_Walk(schema.get("config", {})).kept(schema)])
    config, fields = schema.get("config", {}), schema["schema"]
    if fields["type"] != "model-fields" or "serialization" in fields or config.get("extra_fields_behavior") == "allow":
        return _DOUBTED
    walk, found = _Walk(config), list[Kept]()
    instants, inner = list[str](), list[tuple[str, type, Kept]]()
    for name, field in fields["fields"].items():
        held = _bare(field["schema"])
        if any(option in field for option in _EXCLUDED):
            return _DOUBTED
        if walk.is_instant(held):
            instants.append(name)
        elif held["type"] == "model":
            inner.append((name, held["cls"], kept(held)))
        else:
            found.append(walk.kept(held))
    return replace(_joined(found), instants=tuple(instants), inner=tuple(inner))


def _bare(schema: Any) -> Any:
    """What is there if it is not None, nor the default."""
    while schema["type"] in ("default", "nullable") and "serialization" not in schema:
        schema = schema["schema"]
    return schema


def _joined(found: Iterable[Kept]) -> Kept:
    known = list(found)
    return Kept(any(each.is_doubted for each in known), any(each.has_numbers for each in known))


def why_unread_again(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """Why pydantic would not take again what it made of a value of this type; empty: it does.

    Not looked at is what validators of a user's do: they run again when a value is read.
    """
    if annotation in (FutureDate, FutureDatetime):
        plain = "datetime" if annotation is FutureDatetime else "date"
        return f"{PASSING}: declare {plain}, and check it where the message is made"
    if any(isinstance(each, _DECODING) for each in metadata):
        return "what pydantic decodes or checks for programs only would be so again when it is read: declare what it is"
    return ""


def holds_passing(schema: Any) -> bool:
    """Whether such a type stands somewhere in a core schema."""
    if isinstance(schema, Mapping):
        content = cast("Mapping[str, Any]", schema)
        return content.get("now_op") == "future" or any(map(holds_passing, content.values()))
    return isinstance(schema, list) and any(map(holds_passing, cast("Any", schema)))


class _Walk:
    """Walks what a model's fields, or a type, are made of; models in there are doubted, as they may be subclasses."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config

    def is_instant(self, schema: Any) -> bool:
        return schema["type"] in _INSTANTS and self._is_exact(schema)

    def _is_exact(self, schema: Any) -> bool:
        return _TEMPORAL not in self._config and "serialization" not in schema

    def kept(self, schema: Any) -> Kept:
        kind = schema["type"]
        if KIND in schema.get("metadata", {}):
            return _KNOWN
        if "serialization" in schema:
            return _DOUBTED
        if kind in _SURE:
            is_other = kind in ("timedelta", "date") and (_TIMEDELTA in self._config or not self._is_exact(schema))
            return _DOUBTED if is_other else _KNOWN
        if kind == "float":
            return Kept(has_numbers=self._config.get("ser_json_inf_nan", "null") == "null")
        if kind == "bytes":
            return (
                _KNOWN if {self._config.get(f"{way}_json_bytes") for way in ("ser", "val")} == {"base64"} else _DOUBTED
            )
        if kind in ("default", "nullable"):
            return self.kept(schema["schema"])
        return self._composed(kind, schema)

    def _composed(self, kind: str, schema: Any) -> Kept:
        if kind == "enum":
            return _values([member.value for member in schema["members"]]) if "missing" not in schema else _DOUBTED
        if kind == "literal":
            return _values(schema["expected"])
        if kind in _OF_ITEMS:
            return self.kept(schema.get("items_schema", {"type": "any"}))
        if kind == "tuple":
            return _joined(map(self.kept, schema["items_schema"]))
        if kind == "dict" and schema.get("keys_schema", {}).get("type") == "str":
            return self.kept(schema.get("values_schema", {"type": "any"}))
        return _DOUBTED


def _values(values: Iterable[Any]) -> Kept:
    return _KNOWN if {type(value) for value in values} <= {str, int} else _DOUBTED
