"""The flow of a saga: which steps stand after, beside or instead of each other.

`a >> b` does b after a; `parallel(a, b)` does both at once; `when(question, a, otherwise=b)` does one of the two. What
is built here is a static tree: nothing in it changes while sagas run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, overload

from schemas import Line, line_of

if TYPE_CHECKING:
    from sagas.definition import Saga


class Node:
    """A part of a flow."""

    line: Line
    """Where to change it."""
    name: str = ""
    parts: tuple[Node, ...] = ()
    optional: bool = False
    """Whether it stands inside `when`, so that it may never be done."""
    timeout: timedelta | None = None

    def __rshift__(self, then: Node, /) -> Node:
        return Sequence(self, then)

    def leaves(self) -> list[Node]:
        """The steps, waits and children of this part, in the order in which they are written."""
        return [leaf for part in self.parts for leaf in part.leaves()] if self.parts else [self]


class Sequence(Node):
    """One part after the other."""

    def __init__(self, *parts: Node) -> None:
        self.parts = tuple(_flattened(parts))


class Parallel(Node):
    """Parts beside each other; done when all are."""

    def __init__(self, *parts: Node) -> None:
        self.parts = parts


class When(Node):
    """One part or the other, or nothing, as a condition says."""

    def __init__(self, test: Condition, then: Node, otherwise: Node | None) -> None:
        self.test, self.then, self.otherwise = test, then, otherwise
        self.parts = (then,) if otherwise is None else (then, otherwise)


class Condition:
    """A question about the saga, asked once and recorded."""

    __handler__ = "condition"

    def __init__(self, test: Callable[[Any], bool]) -> None:
        self.test, self.name, self.line = test, test.__name__, line_of(test)

    @overload
    def __get__(self, saga: None, owner: type, /) -> Self: ...
    @overload
    def __get__(self, saga: Saga[Any, Any], owner: type, /) -> bool: ...
    def __get__(self, saga: Saga[Any, Any] | None, owner: type, /) -> Self | bool:
        return self if saga is None else bool(saga._replies[self.name])  # pyright: ignore[reportPrivateUsage] - parts of a saga read it


def condition(test: Callable[[Any], bool], /) -> Condition:
    """Make a method a question that `when` asks: it is asked once per saga, and the answer is recorded."""
    return Condition(test)


def parallel(*parts: Node) -> Node:
    """Do the parts at the same time, and go on when all are done. They are undone at the same time too."""
    return Parallel(*parts)


def when(test: Condition, then: Node, /, *, otherwise: Node | None = None) -> Node:
    """Do one part or the other. Steps in them say `optional=True`, because their replies may be missing."""
    return When(test, then, otherwise)


def _flattened(parts: tuple[Node, ...]) -> Iterator[Node]:
    for part in parts:
        if isinstance(part, Sequence):
            yield from part.parts
        else:
            yield part
