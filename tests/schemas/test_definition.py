"""What class bodies and functions say of themselves."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

import pytest

from schemas import DefinitionError, line_of
from schemas.definition import BodyType, annotations_of, definition_of, members, reads

if TYPE_CHECKING:
    from fractions import Fraction


def here() -> int:
    """The caller's line."""
    return sys._getframe(1).f_lineno


def handler(function: Any) -> Any:
    """Mark a function as a decorator does."""
    function.__handler__ = "it"
    return function


def test_each_name_has_its_line() -> None:
    """A body's definition says where the class stands and which line bound each name."""
    start = here()

    class Watched(metaclass=BodyType):
        first = 1
        second: int = 2

        @staticmethod
        def third() -> None: ...

    definition = definition_of(Watched)
    assert definition.file == __file__
    assert definition.class_line.number == start + 2
    assert (definition.line("first").number, definition.line("second").number) == (start + 3, start + 4)
    assert definition.line("unknown") == definition.class_line


def test_an_overwritten_handler_is_refused() -> None:
    """Two handlers of one name: the first would be lost, so the second is refused at its line."""
    with pytest.raises(DefinitionError, match="one overwrites the handler of line") as refused:

        class Twice(metaclass=BodyType):  # pyright: ignore[reportUnusedClass] - what is tested
            @handler
            def one(self) -> None: ...

            line = here() + 2

            one = 3  # noqa: F811 - what is tested

    assert refused.value.line.file == __file__


def test_the_name_underscore_may_be_used_again() -> None:
    """`_` is for functions that nobody calls by name."""

    class Often(metaclass=BodyType):
        @handler
        def _(self) -> None: ...

        @handler
        def _(self) -> None: ...

    assert "_" in vars(Often)


def test_annotations_find_classes_of_the_defining_function() -> None:
    """With `from __future__ import annotations`, names of the enclosing function are resolved."""

    class Local: ...

    class Holder(metaclass=BodyType):
        class Nested(metaclass=BodyType):
            def take(self, value: Local) -> None: ...

    nested = Holder.Nested
    assert annotations_of(nested.take, definition_of(nested).locals)["value"] is Local


def test_an_import_for_type_checkers_only_is_named_as_the_cause() -> None:
    """What only type checkers import is not there at run time: the error says so, at the function."""

    def take(value: Fraction) -> None: ...

    with pytest.raises(DefinitionError, match=r"'Fraction' is not defined.*outside `if TYPE_CHECKING:`") as refused:
        annotations_of(take)
    assert refused.value.line == line_of(take)


def test_a_class_annotation_that_is_not_there_is_named_at_its_line() -> None:
    """For a class, the line is the one of the annotated name."""
    start = here()

    class Table(metaclass=BodyType):
        fine: int
        rows: dict[str, Fraction]

    with pytest.raises(DefinitionError) as refused:
        annotations_of(Table)
    assert refused.value.line.number in (start + 4, start + 2)  # the class's own from Python 3.14


def test_members_of_unions() -> None:
    """A union's members, or what stands alone; None is its type."""
    assert members(int | str) == (int, str)
    assert members(int) == (int,)
    assert members(None) == (type(None),)


def test_reads_sees_what_a_function_reads_of_its_first_argument() -> None:
    """Also in lambdas and comprehensions, each with its line; other objects' attributes do not count."""

    def build(self: Any, other: Any) -> Any:
        a = self.first
        b = [self.second for _ in range(3)]
        return a, b, other.third, lambda: self.fourth

    found = {name: line.number for name, line in reads(build, ["first", "second", "third", "fourth"])}

    start = line_of(build).number
    assert found == {"first": start + 1, "second": start + 2, "fourth": start + 3}


def test_line_of_a_wrapped_function_and_of_an_object() -> None:
    """The line is the one of the function that somebody wrote."""

    def inner() -> None: ...

    @functools.wraps(inner)
    def outer() -> None: ...

    class Callable:
        def __call__(self) -> None: ...

    assert line_of(outer).number == inner.__code__.co_firstlineno
    assert line_of(Callable()).number == Callable.__call__.__code__.co_firstlineno
