"""What the classes of aggregates and of durable states have in common: they are models whose bodies are watched, and
whose fields have defaults, because a new entity starts from them. And what they and deciders refuse of their options.
"""

from __future__ import annotations

import re
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from eventstore.processor.snapshots import Snapshots
from schemas.definition import Body, DefinitionError, Line, definition_of
from schemas.names import unfit
from schemas.option_values import WHOLE, check_value, instance_of

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)

CONFIG = ConfigDict(
    extra="forbid", validate_assignment=False, ser_json_bytes="base64", val_json_bytes="base64",
    ser_json_inf_nan="strings",
)  # fmt: skip
"""Changed in place by their handlers, written as JSON."""


class EntityType(ModelMetaclass):
    """Watches the class body: which line binds which handler, and what it hides."""

    __what__: ClassVar[str]
    """What such a class is, in words."""
    __reserved__: ClassVar[tuple[str, ...]]
    """Names that every such class has."""

    @classmethod
    def __prepare__(
        mcs,  # noqa: N804 - the convention of metaclasses
        name: str,
        bases: tuple[type, ...],
        /,
        **kwargs: Any,
    ) -> Any:
        return Body(sys._getframe(1))  # pyright: ignore[reportPrivateUsage] - the frame of the class body

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], /, **kwargs: Any) -> Any:
        if any(isinstance(base, mcs) for base in bases) and isinstance(namespace, Body):
            mcs._refuse_hidden(name, namespace)
        return super().__new__(mcs, name, bases, namespace, **kwargs)

    @classmethod
    def _refuse_hidden(mcs, cls: str, body: Body) -> None:  # noqa: N804 - as above
        for name in mcs.__reserved__:
            if name in body or name in body.get("__annotations__", ()):
                why = f"{cls}.{name} hides what every {mcs.__what__} has under this name: rename it"
                raise DefinitionError(body.definition.line(name), why)


def name_of(cls: type[BaseModel]) -> str:
    """The class's name in snake case, which names its topics unless it has another one."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()


def check_name(cls: type[BaseModel], name: str) -> None:
    """Refuse a name that topics cannot have.

    Raises:
        DefinitionError: names the class and an example.
    """
    if why := unfit(name, "stock"):
        raise DefinitionError(definition_of(cls).class_line, f"{cls.__name__} cannot have this name=: {why}")


def check_defaults(cls: type[BaseModel], new: str) -> None:
    """Refuse a field without a default. `new`: what starts from the defaults.

    Raises:
        DefinitionError: names the field.
    """
    definition = definition_of(cls)
    for name, described in cls.model_fields.items():
        if described.is_required():
            line = definition.line(name)
            raise DefinitionError(line, f"{cls.__name__}.{name} has no default: a new {new} starts from the defaults")


def check_options(what: str, line: Line, *, partitions: object, snapshot: object, cached: object) -> None:
    """Refuse options of aggregates and deciders that are of other types.

    Raises:
        DefinitionError: names the option.
    """
    check = partial(check_value, what, line=line)
    check("partitions", partitions, WHOLE, or_none=True)
    check("snapshot", snapshot, instance_of(Snapshots, "every=500"), or_none=True)
    check("cached", cached, WHOLE)
