"""A definition as the orchestrator uses it: the flow, who comes after whom, and the types that appear in histories."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import NoneType
from typing import Any, TypeAlias, TypeGuard, cast

from pydantic import BaseModel

from sagas.children import Child
from sagas.definition import Result, Saga
from sagas.flow import Condition, Node, Parallel, When
from sagas.messages import KeyTaken, SagaOutcome, start_type, undo_type
from sagas.steps import Step, Unset
from sagas.waits import Wait
from schemas import Command, Message, Nothing, Undo, answers
from schemas.definition import annotations_of, definition_of, members
from schemas.personal_fields import hide_inputs

Leaf: TypeAlias = Step[Any, Any] | Wait[Any, Any] | Child[Any, Any]
AnySaga: TypeAlias = type[Saga[Any, Any]]


@dataclass(frozen=True, slots=True)
class Graph:
    """The static side of a saga of one version."""

    saga: AnySaga
    name: str
    version: int
    deadline: timedelta | None
    input: type[BaseModel]
    output: type[BaseModel] | None
    flow: Node
    leaves: Mapping[str, Leaf]
    conditions: Mapping[str, Condition]
    later: Mapping[str, frozenset[str]]
    """For each leaf those that can only begin when it is done: they are undone before it."""
    pivot: str
    """The leaf from whose reply on the saga goes forward only; empty if it has none."""
    result: Result[Any] | None
    types: Mapping[str, type[Message]]
    """Commands, replies, refusals and undos by type name."""
    answers: Mapping[str, frozenset[type[Message]]]
    """What may answer each leaf's command."""

    @classmethod
    def of(cls, saga: AnySaga) -> Graph:
        """Compile a checked definition."""
        flow: Node = vars(saga)["flow"]
        leaves = leaves_of(saga)
        source, output = parameters_of(saga)
        hide_inputs(source | output if output else source)
        found, types = dict[str, frozenset[type[Message]]](), set[type[Message]]()
        for name, leaf in leaves.items():
            found[name], used = _types_of(leaf, definition_of(saga).locals)
            types |= used
        return cls(
            saga=saga,
            name=saga.__saga__,
            version=saga.__saga_version__,
            deadline=saga.deadline,
            input=source,
            output=output,
            flow=flow,
            leaves=leaves,
            conditions={name: value for name, value in vars(saga).items() if isinstance(value, Condition)},
            later={name: frozenset(after) for name, after in _later(flow).items()},
            pivot=next((name for name, leaf in leaves.items() if is_pivot(leaf)), ""),
            result=next(iter(results_of(saga)), None),
            types={each.__type_name__: each for each in types},
            answers=found,
        )

    def is_after_pivot(self, leaf: str) -> bool:
        """Whether the leaf begins only when the pivot is done."""
        return bool(self.pivot) and leaf in self.later[self.pivot]

    def messages(self) -> frozenset[type[Message]]:
        """All types that its sagas send or get."""
        return frozenset(self.types.values())


def leaves_of(saga: AnySaga) -> dict[str, Leaf]:
    """The steps, waits and children of a definition, by name."""
    return {name: value for name, value in vars(saga).items() if name != "flow" and is_leaf(value)}


def results_of(saga: AnySaga) -> list[Result[Any]]:
    """The methods of a definition that make a result."""
    return [value for value in vars(saga).values() if _is_result(value)]


def _is_result(value: object) -> TypeGuard[Result[Any]]:
    return isinstance(value, Result)


def is_leaf(value: object) -> TypeGuard[Leaf]:
    """Whether it is a step, a wait or a child."""
    return isinstance(value, (Step, Wait, Child))


def is_pivot(leaf: Leaf) -> bool:
    """Whether the saga cannot be undone after it. A child with a pivot is one."""
    if isinstance(leaf, Child):
        return any(is_pivot(inner) for inner in leaves_of(leaf.saga).values())
    return isinstance(leaf, Step) and leaf.pivot


def parameters_of(saga: AnySaga) -> tuple[type[BaseModel], type[BaseModel] | None]:
    """The types of the saga's input and result, as given in `Saga[Input, Result]`."""
    for base in getattr(saga, "__orig_bases__", ()):
        if typing.get_origin(base) is Saga:
            source, *rest = typing.get_args(base)
            output = rest[0] if rest else None
            return source, None if output in (None, NoneType) else output
    return BaseModel, None


def _types_of(leaf: Leaf, local: dict[str, Any]) -> tuple[frozenset[type[Message]], set[type[Message]]]:
    """What may answer the leaf, and all types that belong to it."""
    if isinstance(leaf, Wait):
        return frozenset(), {leaf.message}
    if isinstance(leaf, Child):
        name = leaf.saga.__saga__
        return frozenset({SagaOutcome, KeyTaken}), {
            SagaOutcome, KeyTaken, start_type(name), undo_type(name), *leaf.saga.__graph__.types.values(),
        }  # fmt: skip
    commands = cast("tuple[type[Command[Any, Any]], ...]", members(annotations_of(leaf.build, local)["return"]))
    given = set[type[Message]]()
    for command in commands:
        replies, refusals = answers(command)
        given |= {Nothing if reply is NoneType or reply is None else reply for reply in replies} | set(refusals)
    return frozenset(given), {*given, *commands, *_undos(leaf, commands, local)}


def _undos(
    step: Step[Any, Any], commands: tuple[type[Command[Any, Any]], ...], local: dict[str, Any]
) -> Iterator[type[Message]]:
    if step.undo_builder is Undo:
        undo: Any = Undo
        yield from (undo[command] for command in commands)
    elif step.undo_builder is not None and step.undo_builder is not Unset.UNSET:
        yield from members(annotations_of(step.undo_builder, local)["return"])


def _later(node: Node) -> dict[str, set[str]]:
    """For each leaf of the part, the leaves of the part that come after it."""
    if isinstance(node, (Parallel, When)):
        return {name: after for part in node.parts for name, after in _later(part).items()}
    if not node.parts:
        return {node.name: set()}
    found, behind = dict[str, set[str]](), set[str]()
    for part in reversed(node.parts):
        inner = _later(part)
        found |= {name: after | behind for name, after in inner.items()}
        behind |= set(inner)
    return found
