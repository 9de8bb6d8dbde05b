"""Whether a value came back as it was."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import BaseModel

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def is_same(one: Any, other: Any) -> bool:
    """Equality, also of NaN, and of instants in the hour that summer time repeats, which Python finds equal to none."""
    if _is_instant(one) and _is_instant(other):
        return bool(one - _EPOCH == other - _EPOCH)
    if isinstance(one, BaseModel):
        return type(one) is type(other) and is_same(_content(one), _content(other))
    if _are(Mapping, one, other):
        return bool(one.keys() == other.keys()) and all(is_same(one[key], other[key]) for key in one)
    if _are((list, tuple), one, other):
        return len(one) == len(other) and all(map(is_same, one, other))
    return bool(one == other) or repr(one) == repr(other)


def _content(model: BaseModel) -> dict[str, Any]:
    private = model.__pydantic_private__
    return {**vars(model), **(model.__pydantic_extra__ or {}), **(private or {})}


def _is_instant(value: Any) -> bool:
    return isinstance(value, datetime) and value.tzinfo is not None


def _are(kind: Any, one: Any, other: Any) -> bool:
    return isinstance(one, kind) and isinstance(other, kind)
