"""What import refuses of a saga, each with the line to change."""

from __future__ import annotations

import re
from collections.abc import Callable
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from types import NoneType
from typing import Any

from pydantic import BaseModel

from sagas.children import Child
from sagas.flow import Condition, Node, Parallel, When
from sagas.graph import AnySaga, Leaf, is_leaf, is_pivot, leaves_of, parameters_of, results_of
from sagas.steps import Step, Unset
from sagas.waits import Wait
from schemas import Command, DefinitionError, Undo, answers, line_of
from schemas.definition import Definition, annotations_of, definition_of, members, reads
from schemas.names import unfit
from schemas.option_values import DURATION, TEXT, WHOLE, check_value

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_TAKEN = frozenset({"input", "deadline", "start", "key_of", "flow"})


class Check:
    """Walks a definition in the order in which it runs."""

    def __init__(self, saga: AnySaga) -> None:
        self.saga = saga
        self.definition: Definition = definition_of(saga)
        self.leaves = leaves_of(saga)
        self.conditions = {name: value for name, value in vars(saga).items() if isinstance(value, Condition)}
        self.has_pivot = any(is_pivot(leaf) for leaf in self.leaves.values())
        self.pivot: str | None = None
        """That of the flow, from where it was met on."""

    def header(self) -> None:
        """The class line: name, key, version, input."""
        line, name, saga = self.definition.class_line, self.saga.__name__, self.saga
        for option, value in (("name", saga.__saga__), ("key", saga.__key__)):
            check_value(name, option, value, TEXT, line=line)
        check_value(name, "version", saga.__saga_version__, WHOLE, line=line)
        check_value(name, "deadline", saga.deadline, DURATION, or_none=True, line=line)
        if not _NAME.fullmatch(saga.__saga__):
            raise DefinitionError(line, f"{name}: name={saga.__saga__!r} is not lower-case words joined by dots")
        if why := unfit(saga.__saga__, "book_trip"):
            raise DefinitionError(line, f"{name} cannot have this name=: {why}")
        if saga.__saga_version__ < 1:
            raise DefinitionError(line, f"{name}: version={saga.__saga_version__} is not at least 1")
        source, output = parameters_of(saga)
        if source is BaseModel:
            raise DefinitionError(line, f"{name} does not say its input: class {name}(Saga[Input], …)")
        for what, given in (("starts with", source), ("answers", output or BaseModel)):
            if not _is_model(given):
                shown = getattr(given, "__name__", repr(given))
                raise DefinitionError(line, f"{name} {what} {shown}: give the class of a pydantic model")
        if saga.__key__ not in source.model_fields:
            fields = ", ".join(source.model_fields)
            raise DefinitionError(line, f"{name}: key={saga.__key__!r} is no field of {source.__name__}: {fields}")
        for taken in _TAKEN & {*self.leaves, *self.conditions}:
            raise DefinitionError(self.definition.lines[taken], f"{name}.{taken}: this name is taken, use another")

    def flow(self) -> Node:
        """Each step stands in the flow once."""
        name = self.saga.__name__
        if not isinstance(vars(self.saga).get("flow"), Node):
            offer = " >> ".join(self.leaves) or "…"
            raise DefinitionError(self.definition.class_line, f"{name} has no flow: add flow = {offer}")
        line = self.definition.lines["flow"]
        flow: Node = vars(self.saga)["flow"]
        for attribute, leaf in self.leaves.items():
            leaf.name, leaf.line = attribute, self.definition.lines[attribute] if isinstance(leaf, Wait) else leaf.line
            times = sum(placed is leaf for placed in flow.leaves())
            if times == 0:
                raise DefinitionError(leaf.line, f"{name}.{attribute} stands nowhere in the flow of line {line.number}")
            if times > 1:
                raise DefinitionError(line, f"{name}.flow places {attribute} {times} times: once is all it can be done")
        for placed in flow.leaves():
            if self.leaves.get(placed.name) is not placed:
                raise DefinitionError(
                    line, f"{name}.flow places {placed.name or 'a part'!r}, which is not of this class"
                )
        return flow

    def walk(self, node: Node, done: set[str], *, branch: bool, beside: bool) -> set[str]:
        """Check a part of the flow, given whose replies are there; return whose are there after it."""
        match node:
            case Parallel():
                return done.union(*(self.walk(part, done, branch=branch, beside=True) for part in node.parts))
            case When():
                self.condition(node, done)
                known = done | {node.test.name}
                return known.union(*(self.walk(part, known, branch=True, beside=beside) for part in node.parts))
            case _ if is_leaf(node):
                self.leaf(node, done, branch=branch, beside=beside)
                return done | {node.name}
            case _:
                for part in node.parts:
                    done = self.walk(part, done, branch=branch, beside=beside)
                return done

    def condition(self, node: When, done: set[str]) -> None:
        if self.conditions.get(node.test.name) is not node.test:
            raise DefinitionError(
                self.definition.lines["flow"], f"{self.saga.__name__}.flow asks a condition that is not of this class"
            )
        self.read(node.test.test, done, f"the condition {node.test.name}")

    def leaf(self, node: Leaf, done: set[str], *, branch: bool, beside: bool) -> None:
        name = f"{self.saga.__name__}.{node.name}"
        if branch and not node.optional:
            raise DefinitionError(
                node.line, f"{name} stands inside when(): its reply may be missing, say optional=True"
            )
        if node.optional and not branch:
            raise DefinitionError(node.line, f"{name} is optional=True but stands outside when(): it is always done")
        if self.saga.deadline and node.timeout and node.timeout > self.saga.deadline and not self.pivot:
            raise DefinitionError(
                node.line, f"{name} may take {node.timeout}, longer than the deadline of {self.saga.deadline}"
            )
        if not isinstance(node, Wait):
            self.read(node.build, done, name)
        commands = self.commands(node, name) if isinstance(node, Step) else ()
        if self.pivot:
            self.behind(node, name, commands)
        elif is_pivot(node):
            self.decisive(node, name, branch=branch, beside=beside)
        elif isinstance(node, Step):
            self.undoable(node, done, name, commands)

    def commands(self, step: Step[Any, Any], name: str) -> tuple[type[Command[Any, Any]], ...]:
        """What the step sends, as its annotation says."""
        annotations = annotations_of(step.build, self.definition.locals)
        if "return" not in annotations:
            raise DefinitionError(step.line, f"{name} does not say what it sends: def {step.name}(self) -> TheCommand")
        found = members(annotations["return"])
        for command in found:
            if not (isinstance(command, type) and issubclass(command, Command)):
                raise DefinitionError(step.line, f"{name} sends {command!r}, which is no command")
        step.sends = found
        return found

    def decisive(self, node: Leaf, name: str, *, branch: bool, beside: bool) -> None:
        """A pivot stands where it is certainly done, and alone."""
        flow = self.definition.lines["flow"].number
        what = "has a pivot of its own" if isinstance(node, Child) else "is the pivot"
        if beside or branch:
            inside = "parallel()" if beside else "when()"
            raise DefinitionError(
                node.line, f"{name} {what} and stands inside {inside} on line {flow}: put it before or after"
            )
        self.pivot = node.name

    def behind(self, node: Leaf, name: str, commands: tuple[type[Command[Any, Any]], ...]) -> None:
        """After the pivot nothing may turn the saga back."""
        if is_pivot(node):
            raise DefinitionError(node.line, f"{name} is a second pivot: {self.pivot} is the first, and one decides")
        if isinstance(node, Child):
            raise DefinitionError(node.line, f"{name} comes after the pivot {self.pivot}, but a child may be undone")
        if isinstance(node, Wait) and node.unanswered == "undo":
            raise DefinitionError(
                node.line, f'{name} comes after the pivot {self.pivot} and may time out: say unanswered="continue"'
            )
        for command in commands:
            for refusal in answers(command)[1]:
                raise DefinitionError(
                    node.line,
                    f"{name} comes after the pivot {self.pivot}, but {command.__name__} may be refused "
                    f"({refusal.__name__}): put it before the pivot, or send a command that is not refused",
                )

    def undoable(
        self, step: Step[Any, Any], done: set[str], name: str, commands: tuple[type[Command[Any, Any]], ...]
    ) -> None:
        """Before the pivot each step says how it is undone."""
        builder = step.undo_builder
        if builder is Unset.UNSET:
            ways = f"add @{step.name}.undo, undo=Undo (mirrored) or undo=None (nothing to undo)"
            if self.has_pivot:
                raise DefinitionError(step.line, f"{name} comes before the pivot and has no undo: {ways}")
            raise DefinitionError(
                step.line,
                f"{name} has no undo, and the flow has no pivot: {ways}; or, if it decides and from its reply on "
                "nothing is undone any more, pivot=True",
            )
        if builder is None or builder is Undo:
            return
        if isinstance(builder, type):
            raise DefinitionError(step.line, f"{name}: undo={builder.__name__} is neither Undo nor None")
        self.undo(step, done, name, commands)

    def undo(
        self, step: Step[Any, Any], done: set[str], name: str, commands: tuple[type[Command[Any, Any]], ...]
    ) -> None:
        builder: Callable[..., Any] = step.undo_builder
        self.read(builder, done, f"the undo of {name}")
        annotations = annotations_of(builder, self.definition.locals)
        for undo in members(annotations.get("return")):
            if not (isinstance(undo, type) and issubclass(undo, Command)):
                raise DefinitionError(line_of(builder), f"the undo of {name} gives {undo!r}, which is no command")
            for command in commands:
                if undo.__to__ != command.__to__:
                    raise DefinitionError(
                        line_of(builder),
                        f"the undo of {name} goes to {undo.__to__!r}, but {command.__name__} went to "
                        f"{command.__to__!r}",
                    )

    def result(self, done: set[str]) -> None:
        """What the saga answers is what its class says."""
        name, wanted = self.saga.__name__, parameters_of(self.saga)[1]
        found = results_of(self.saga)
        if len(found) > 1:
            raise DefinitionError(found[1].line, f"{name} has two results: {found[0].name} is the first")
        if not found:
            if wanted is not None:
                raise DefinitionError(
                    self.definition.class_line,
                    f"{name} answers {wanted.__name__}: add a method with @result that makes it",
                )
            return
        self.read(found[0].build, done, f"the result of {name}")
        given = annotations_of(found[0].build, self.definition.locals).get("return")
        if (None if given is NoneType else given) is not wanted:
            said, declared = getattr(given, "__name__", given), wanted.__name__ if wanted else None
            raise DefinitionError(found[0].line, f"the result of {name} is {said}, but its class says {declared}")

    def read(self, build: Callable[..., Any], done: set[str], who: str) -> None:
        if iscoroutinefunction(build) or isgeneratorfunction(build) or isasyncgenfunction(build):
            raise DefinitionError(
                line_of(build), f"{who} is async or a generator: it only builds, so write a plain `def` that returns"
            )
        for attribute, line in reads(build, {*self.leaves, *self.conditions}):
            if attribute not in done:
                raise DefinitionError(line, f"{who} reads self.{attribute}, which may not be there by then")


def _is_model(given: object) -> bool:
    return isinstance(given, type) and issubclass(given, BaseModel)


def check(saga: AnySaga) -> None:
    """Check a definition.

    Raises:
        DefinitionError: the line to change, and why.
    """
    this = Check(saga)
    this.header()
    done = this.walk(this.flow(), set(), branch=False, beside=False)
    this.result(done)
