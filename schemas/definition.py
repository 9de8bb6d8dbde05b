"""What a class body says: the line of each name, the annotations of its functions, the attributes they read.

Mistakes in declarations are reported when the module is imported, each with the line to change. What that takes is
here: a namespace for class bodies that notes the line of every binding, and ways to resolve annotations and to see
what a function reads. Nothing here looks at values at run time.
"""

from __future__ import annotations

import dis
import inspect
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from schemas.suggestions import keyword_hint

Function: TypeAlias = types.FunctionType


class Line(NamedTuple):
    """A place in a source file."""

    file: str
    number: int

    def __str__(self) -> str:
        return f"{self.file}:{self.number}"


class DefinitionError(TypeError):
    """A class or handler is declared wrongly: change the named line. Raised when its module is imported."""

    def __init__(self, line: Line, message: str) -> None:
        super().__init__(f"{line}: {message}")
        self.line = line


def line_of(function: Callable[..., Any]) -> Line:
    """Where the function is defined, its decorators included."""
    plain: Any = inspect.unwrap(function)
    code = getattr(plain, "__code__", None) or cast("Any", type(plain)).__call__.__code__
    return Line(code.co_filename, code.co_firstlineno)


class Definition:
    """Where a class body stands, and the line that bound each of its names."""

    def __init__(self, frame: types.FrameType) -> None:
        self.file = frame.f_code.co_filename
        self.class_line = Line(self.file, frame.f_lineno)
        self.locals: dict[str, Any] = _local_names(frame)
        """What the class sees besides its module: names of the function that defines it."""
        self.lines: dict[str, Line] = {}
        """The line of each name the body bound; until Python 3.13 also of those it only annotated."""
        self.handlers: list[tuple[str, Any]] = []
        """What the body bound that has `__handler__`, with its name: also what a later `_` hides."""

    def line(self, name: str) -> Line:
        """The line of a name of the body; the line of the class where it is not known."""
        return self.lines.get(name, self.class_line)


def _local_names(frame: types.FrameType) -> dict[str, Any]:
    """The locals of a frame and, while it is a class body, of what encloses it. A module's are left out."""
    names: dict[str, Any] = {}
    here: types.FrameType | None = frame
    while here is not None and here.f_locals is not here.f_globals:
        names = {**here.f_locals, **names}
        if here.f_code.co_flags & inspect.CO_OPTIMIZED:
            break
        here = here.f_back
    return names


class Body(dict[str, Any]):
    """The namespace of a class body: notices each binding, and a handler that another name overwrites."""

    def __init__(self, frame: types.FrameType) -> None:
        self.definition = Definition(frame)
        super().__init__(__definition__=self.definition)
        if sys.version_info < (3, 14):  # later, annotations are evaluated when they are asked for
            super().__setitem__("__annotations__", _Annotations(self.definition))

    def __setitem__(self, name: str, value: Any) -> None:
        _bound(self.definition, name, getattr(self.get(name), "__handler__", None) is not None)
        if getattr(value, "__handler__", None) is not None:
            self.definition.handlers.append((name, value))
        super().__setitem__(name, value)


class _Annotations(dict[str, Any]):
    """The annotations of a class body: notices the line of each."""

    def __init__(self, definition: Definition) -> None:
        super().__init__()
        self._definition = definition

    def __setitem__(self, name: str, value: Any) -> None:
        _bound(self._definition, name, False)
        super().__setitem__(name, value)


def _bound(definition: Definition, name: str, overwrites: bool) -> None:
    frame = sys._getframe(2)  # pyright: ignore[reportPrivateUsage] - the frame of the definition
    if frame.f_code.co_filename != definition.file:
        return  # the metaclass adds a name of its own
    line = Line(definition.file, frame.f_lineno)
    if overwrites and name != "_":
        raise DefinitionError(line, f"{name} overwrites the handler of line {definition.line(name).number}: rename one")
    definition.lines[name] = line


if TYPE_CHECKING:
    BodyType = type  # mypy checks class keywords only where it sees no metaclass
else:

    class BodyType(type):
        """A metaclass that notices what a class body binds, and on which line."""

        @classmethod
        def __prepare__(mcs, name, bases, /, **options):  # noqa: N804 - the convention of metaclasses
            return Body(sys._getframe(1))

        def __new__(mcs, name, bases, body, /, **options):
            _check_options(name, bases, body["__definition__"].class_line, options)
            return super().__new__(mcs, name, bases, body, **options)


def _check_options(name: str, bases: tuple[type, ...], line: Line, options: Mapping[str, Any]) -> None:
    """Refuse class keywords that the first base does not take, and those that it needs and are not there."""
    if not bases or BodyType not in type.mro(type(bases[0])):
        return
    parameters = inspect.signature(bases[0].__init_subclass__).parameters.values()
    known = {one.name: one.default is one.empty for one in parameters if one.kind is one.KEYWORD_ONLY}
    for option in options:
        if option not in known:
            raise DefinitionError(line, f"{name} has no option {option}=: {keyword_hint(option, known)}")
    for option, is_needed in known.items():
        if is_needed and option not in options:
            raise DefinitionError(line, f"{name} has no {option}=: class {name}({bases[0].__name__}…, {option}=…)")


def definition_of(cls: type) -> Definition:
    """Where the class is defined. It, or its metaclass, uses `Body`."""
    definition: Definition = vars(cls)["__definition__"]
    return definition


def annotations_of(owner: Callable[..., Any] | type, local: dict[str, Any] | None = None) -> dict[str, Any]:
    """The resolved annotations of a function or class; names local to where it is defined are found in `local`.

    Raises:
        DefinitionError: an annotation names what is not there at run time.
    """
    try:
        return typing.get_type_hints(owner, localns=local)
    except (NameError, AttributeError) as unknown:
        name = unknown.name or str(unknown)
        called = getattr(owner, "__qualname__", repr(owner))
        raise DefinitionError(
            _line_of_annotation(owner, name),
            f"{name!r} is not defined when {called} is: define it above, or import it outside `if TYPE_CHECKING:`",
        ) from unknown


def _line_of_annotation(owner: Callable[..., Any] | type, unknown: str) -> Line:
    if not isinstance(owner, type):
        return line_of(owner)
    definition = definition_of(owner)
    for name, annotation in vars(owner).get("__annotations__", {}).items():
        if unknown in str(annotation):
            return definition.line(name)
    return definition.class_line


def members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, or the annotation alone. None stands as its type."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (type(None) if annotation is None else annotation,)


def reads(function: Callable[..., Any], names: Collection[str]) -> Iterator[tuple[str, Line]]:
    """Which of `names` the function reads of its first argument, also inside lambdas and comprehensions."""
    code = cast("Function", function).__code__
    return _reads(code, code.co_varnames[0], names)


def _reads(code: types.CodeType, first: str, names: Collection[str]) -> Iterator[tuple[str, Line]]:
    loaded, number = False, code.co_firstlineno
    for instruction in dis.get_instructions(code):
        if instruction.positions and instruction.positions.lineno:
            number = instruction.positions.lineno
        if loaded and instruction.opname in ("LOAD_ATTR", "LOAD_METHOD") and instruction.argval in names:
            yield instruction.argval, Line(code.co_filename, number)
        last = instruction.argrepr.split(", ")[-1]  # Python 3.13 fuses two loads into one instruction
        loaded = instruction.opname.startswith(("LOAD_FAST", "LOAD_DEREF")) and last == first
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType) and first in constant.co_freevars:
            yield from _reads(constant, first, names)
