"""Whether a value came back as it was."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from pydantic import BaseModel

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def is_same(one: Any, other: Any) -> bool:
    """Equality of what is written, which private attributes are not; also of NaN, and of instants in the hour that
    summer time repeats, which Python finds equal to none."""
    if _is_instant(one) and _is_instant(other):
        return bool(one - _EPOCH == other - _EPOCH)
    if isinstance(one, BaseModel):
        return type(one) is type(other) and is_same(_content(one), _content(other))
    if _is_dataclass(one):
        return type(one) is type(other) and is_same(_fields(one), _fields(other))
    if _are(Mapping, one, other):
        return bool(one.keys() == other.keys()) and all(is_same(one[key], other[key]) for key in one)
    if _are((list, tuple), one, other):
        return len(one) == len(other) and all(map(is_same, one, other))
    return bool(one == other) or (_are((float, Decimal), one, other) and math.isnan(one) and math.isnan(other))


def _content(model: BaseModel) -> dict[str, Any]:
    fields = {name: value for name, value in vars(model).items() if name in type(model).model_fields}
    return {**fields, **(model.__pydantic_extra__ or {})}


def _is_dataclass(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _fields(made: Any) -> dict[str, Any]:
    return {each.name: getattr(made, each.name) for each in dataclasses.fields(made)}


def _is_instant(value: Any) -> bool:
    return isinstance(value, datetime) and value.tzinfo is not None


def _are(kind: Any, one: Any, other: Any) -> bool:
    return isinstance(one, kind) and isinstance(other, kind)
