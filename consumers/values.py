"""Rows as bytes: a version byte, then the row. One that would come back as another row is refused.

Layouts, by version byte:

    01 JSON      as pydantic writes and reads it
    02 bytes     of a table whose rows are `bytes`
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from consumers.view_errors import BadRow, RowTypeChanged, RowTypeUnfit
from eventstore.fingerprint import fingerprint_of_type
from eventstore.processor.row_layout import RowDamaged
from schemas.kept_types import PASSING, holds_passing, kept
from schemas.personal_fields import hide_inputs
from schemas.same import is_same

V = TypeVar("V")

_JSON = b"\x01"
_BYTES = b"\x02"
_MUTABLE = (list, dict, set, bytearray)


class ValueCodec(Generic[V]):
    """Encodes, decodes and checks the rows of one table."""

    def __init__(self, annotation: Any) -> None:
        """Raises RowTypeUnfit: rows of this type could change after they were stored, or have no JSON form."""
        _refuse_mutable(annotation)
        hide_inputs(annotation)
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(annotation)
            adapter.json_schema(mode="serialization")
        except Exception as error:  # pydantic raises errors of several families for types it cannot take
            raise RowTypeUnfit(annotation, str(error).splitlines()[0]) from error
        if holds_passing(adapter.core_schema):
            raise RowTypeUnfit(annotation, PASSING)
        self.annotation = annotation
        self.exact: type[Any] | None = annotation if isinstance(annotation, type) else None
        """Instances of exactly this class need no check."""
        self.type_name: str = getattr(annotation, "__qualname__", None) or str(annotation)
        self._adapter = adapter
        is_plain = (
            isinstance(annotation, type) and issubclass(annotation, BaseModel) and not annotation.model_computed_fields
        )
        write = partial(adapter.serializer.to_json, by_alias=False)
        self._to_json: Callable[[Any], bytes] = write if is_plain else partial(write, round_trip=True)
        self._from_json = partial(adapter.validator.validate_json, by_alias=False, by_name=True)
        self._is_bytes = annotation is bytes
        known = kept(adapter.core_schema)
        self._is_in_doubt = None if known.is_sure else known.is_in_doubt

    @cached_property
    def form(self) -> str:
        """The type's name, and a fingerprint of its fields: rows of another form are not to be mixed with these."""
        return f"{self.type_name}#{fingerprint_of_type(self.annotation).hex()[:16]}"

    def encode(self, row: V) -> bytes:
        """The bytes of a row.

        Raises:
            BadRow: it would not come back as it is, such as a NaN or a field that is excluded from serialization.
        """
        if self._is_bytes:
            return _BYTES + cast("bytes", row)
        try:
            data = self._to_json(row)
        except PydanticSerializationError as error:
            raise BadRow(row, self.type_name, str(error)) from error
        if self._is_in_doubt is not None and self._is_in_doubt(row, data):
            self._prove(row, data)
        return _JSON + data

    def decode(self, data: bytes) -> V:
        """The row of these bytes.

        Raises:
            RowDamaged: they are none.
            RowTypeChanged: they are one of an earlier row type.
        """
        body = data[1:]
        if data[:1] != (_BYTES if self._is_bytes else _JSON):
            raise RowDamaged(f"a row ({self.type_name})", f"its version is {data[:1]!r}")
        try:
            return cast("V", body if self._is_bytes else self._from_json(body))
        except ValidationError as error:
            if error.errors()[0]["type"] == "json_invalid":
                raise RowDamaged(f"a row ({self.type_name})", _first(error)) from error
            raise RowTypeChanged(self.type_name, _where(error)) from error
        except (ValueError, RecursionError) as error:
            raise RowDamaged(f"a row ({self.type_name})", str(error)) from error

    def checked(self, row: Any) -> V:
        """The row itself, if it is of the table's type.

        Raises:
            BadRow: it is not.
        """
        if row is None:
            raise BadRow(row, self.type_name, "None is what a missing row reads as; delete the row instead")
        try:
            valid: V = self._adapter.validate_python(row, strict=True)
        except ValidationError as error:
            raise BadRow(row, self.type_name, _first(error)) from error
        return valid

    def _prove(self, row: V, data: bytes) -> None:
        try:
            back = self._from_json(data)
        except ValidationError as error:
            raise BadRow(row, self.type_name, f"it cannot be read back ({_first(error)})") from error
        if back != row and not is_same(back, row):
            why = (
                "it would come back different; check excluded fields, NaN, infinity, zones whose offset has seconds, "
                "and unions of what looks alike in JSON"
            )
            raise BadRow(row, self.type_name, why)


def _refuse_mutable(annotation: Any) -> None:
    plain = typing.get_origin(annotation) or annotation
    if plain in _MUTABLE:
        raise RowTypeUnfit(annotation, "it can be changed in place, unseen by the table")
    if isinstance(plain, type) and issubclass(plain, BaseModel) and not plain.model_config.get("frozen"):
        raise RowTypeUnfit(annotation, "the model is not frozen")
    if plain in (None, type(None), Any, object):
        raise RowTypeUnfit(annotation, "it says nothing about the row")


def _first(error: ValidationError) -> str:
    return error.errors()[0]["msg"]


def _where(error: ValidationError) -> str:
    return ": ".join((*map(str, error.errors()[0]["loc"]), _first(error)))
