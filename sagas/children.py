"""A child: a part of a flow that is a saga of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, overload

from pydantic import BaseModel
from typing_extensions import TypeVar

from sagas.flow import Node
from sagas.steps import N_co
from schemas import line_of

if TYPE_CHECKING:
    from sagas.definition import Saga

I = TypeVar("I", bound=BaseModel)  # noqa: E741 - input and output
O = TypeVar("O", bound=BaseModel | None, default=None)  # noqa: E741 - input and output


class Child(Node, Generic[O, N_co]):
    """Runs another saga, and waits for its result."""

    __handler__ = "child"

    def __init__(self, saga: type[Saga[Any, O]], build: Callable[[Any], Any], *, optional: bool) -> None:
        self.saga, self.build, self.optional = saga, build, optional
        self.line, self.name = line_of(build), build.__name__

    @overload
    def __get__(self, saga: None, owner: type, /) -> Self: ...
    @overload
    def __get__(self, saga: Saga[Any, Any], owner: type, /) -> O | N_co: ...
    def __get__(self, saga: Saga[Any, Any] | None, owner: type, /) -> Any:
        return self if saga is None else saga._replies[self.name]  # pyright: ignore[reportPrivateUsage] - parts of a saga read it


@overload
def child(saga: type[Saga[I, O]], /, *, optional: Literal[True]) -> Callable[[Callable[[Any], I]], Child[O, None]]: ...
@overload
def child(saga: type[Saga[I, O]], /, *, optional: Literal[False] = ...) -> Callable[[Callable[[Any], I]], Child[O]]: ...
def child(saga: Any, /, *, optional: bool = False) -> Any:
    """Make a method that builds the input of another saga a step of this one.

    The other saga undone is to this one a refusal. One with a pivot counts as this saga's pivot.
    """
    return partial(Child, saga, optional=optional)
