"""Members of enums as the values of a `Literal`.

pydantic reads such a member again only where the member is itself what is written of it: a `StrEnum`'s is text, an
`IntEnum`'s a number, a plain `Enum`'s is neither.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any, Final

READ_FROM_JSON: Final = (str, int, float)
READ_FROM_AVRO: Final = (str, int, bytes)


def why_unread(values: Iterable[Any], kinds: tuple[type, ...]) -> str:
    """Why the values of a `Literal` would not be read again, where these kinds are; empty: they would."""
    for value in values:
        if isinstance(value, enum.Enum) and not isinstance(value, kinds):
            owner, written = type(value).__name__, f"Literal[{value.value!r}]"
            return (
                f"{value} is written as {value.value!r}, which a Literal of it does not take: make {owner} a StrEnum "
                f"or IntEnum, or declare {owner} or {written}"
            )
    return ""
