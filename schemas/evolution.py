"""How old data becomes new: step by step, from one version to the next.

::

    class OrderPlaced(Event, name="order.placed", version=3): ...

    @OrderPlaced.upcast(from_version=1)
    def _(old: Mapping[str, Any]) -> Mapping[str, object]:      # gives version 2
        return {**old, "currency": "EUR"}

    @OrderPlaced.upcast(from_version=2)
    def _(old: OrderPlacedV2) -> Mapping[str, object]:          # gives version 3
        return {"order_id": old.order_id, "total_cents": old.total * 100}

A step takes the fields of its version as a mapping or, when its parameter is annotated with a model, as that model.
What a mapping holds depends on the format: Avro gives instants, decimals and UUIDs as such, JSON gives their text. A
model is the same in both. A step never changes what it is given.

In Avro, a model or enum that a step copies from a mapping unchanged keeps its class where the next version has a union;
one that the union has no member of is refused. A mapping that a step made itself, of another one's fields too, is taken
as pydantic takes it: of members that look alike, make an instance of the right one. In JSON that goes for all.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from pydantic import BaseModel

from schemas.definition import DefinitionError, annotations_of, line_of

Fields: TypeAlias = Mapping[str, Any]
Load: TypeAlias = Callable[[type[BaseModel], Fields], BaseModel]
"""Makes a model of fields as a format gives them."""
Step: TypeAlias = Callable[[Fields, Load], Fields]
"""From the fields of a version to those of the next."""
F = TypeVar("F", bound=Callable[[Any], Mapping[str, object]])


@dataclass(frozen=True, slots=True)
class Upcast:
    """One step: from the fields of a version to those of the next."""

    function: Callable[[Any], Mapping[str, object]]
    model: type[BaseModel] | None
    """What the function takes; None for a plain mapping."""

    def __call__(self, fields: Fields, load: Load) -> Fields:
        return self.function(fields if self.model is None else load(self.model, fields))


class Upcasts:
    """The steps that lead to the version of one message class."""

    def __init__(self, owner: str, version: int) -> None:
        self.owner, self.version = owner, version
        self._steps: dict[int, Upcast] = {}

    def step(self, from_version: int) -> Callable[[F], F]:
        """Register the function as the step from that version. Called by a decorator of three frames above."""
        local = sys._getframe(3).f_locals  # pyright: ignore[reportPrivateUsage] - the frame of the definition

        def register(function: F) -> F:
            self._check(function, from_version)
            self._steps[from_version] = Upcast(function, _model_of(function, local))
            return function

        return register

    def _check(self, function: Callable[..., Any], from_version: int) -> None:
        line, shown = line_of(function), f"{self.owner}.upcast(from_version={from_version!r})"
        if type(from_version) is not int or not 1 <= from_version < self.version:
            raise DefinitionError(
                line, f"{shown}: {self.owner} is version {self.version}, give an earlier one, 1 at least"
            )
        if from_version in self._steps:
            first = line_of(self._steps[from_version].function).number
            raise DefinitionError(line, f"{shown} stands at line {first} already: remove one")
        if len(inspect.signature(function).parameters) != 1:
            raise DefinitionError(line, f"{shown}: the function takes one parameter, the old fields")

    def path(self, version: int) -> list[Step] | None:
        """The steps from a version to the class's own; None if one of them is missing."""
        if not all(step in self._steps for step in range(version, self.version)):
            return None
        return [self._steps[step] for step in range(version, self.version)]

    def where(self, version: int) -> list[str]:
        """The steps from a version to the class's own, each with the version it begins at and its line, for people."""
        steps = [(number, line_of(upcast.function)) for number, upcast in self.steps() if number >= version]
        return [f"from version {number} ({line})" for number, line in steps]

    def steps(self) -> list[tuple[int, Upcast]]:
        """All steps with the version each begins at, in order."""
        return sorted(self._steps.items())

    def inside(self, field: str) -> Upcasts:
        """The same steps, for a message that carries the class's in this field."""
        return _Inside(self, field)


class _Inside(Upcasts):
    """The steps of a class, applied to one field of another."""

    def __init__(self, steps: Upcasts, field: str) -> None:
        super().__init__(steps.owner, steps.version)
        self._inner, self._field = steps, field

    def path(self, version: int) -> list[Step] | None:
        path = self._inner.path(version)
        return None if path is None else [_inside(self._field, step) for step in path]

    def where(self, version: int) -> list[str]:
        return self._inner.where(version)


def _inside(field: str, step: Step) -> Step:
    return lambda fields, load: {**fields, field: step(fields[field], load)}


def _model_of(function: Callable[..., Any], local: dict[str, Any]) -> type[BaseModel] | None:
    (parameter,) = inspect.signature(function).parameters
    annotation = annotations_of(function, local).get(parameter)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None
