"""A wait: a part of a flow that goes on when somebody signals a message to the saga."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeAlias, overload

from typing_extensions import TypeVar

from sagas.flow import Node
from sagas.steps import N_co
from schemas import Message
from schemas.option_values import DURATION, FLAG, check_value

if TYPE_CHECKING:
    from sagas.definition import Saga

M = TypeVar("M", bound=Message)
Unanswered: TypeAlias = Literal["undo", "continue"]


class Wait(Node, Generic[M, N_co]):
    """Waits for a message that somebody signals."""

    __handler__ = "wait"

    def __init__(self, message: type[M], timeout: timedelta, *, optional: bool, unanswered: Unanswered) -> None:
        self.message, self.timeout, self.optional, self.unanswered = message, timeout, optional, unanswered

    @overload
    def __get__(self, saga: None, owner: type, /) -> Self: ...
    @overload
    def __get__(self, saga: Saga[Any, Any], owner: type, /) -> M | N_co: ...
    def __get__(self, saga: Saga[Any, Any] | None, owner: type, /) -> Any:
        return self if saga is None else saga._replies[self.name]  # pyright: ignore[reportPrivateUsage] - parts of a saga read it


@overload
def wait_for(
    message: type[M], /, *, timeout: timedelta, optional: Literal[True], unanswered: Unanswered = ...
) -> Wait[M, None]: ...
@overload
def wait_for(
    message: type[M], /, *, timeout: timedelta, optional: bool = ..., unanswered: Literal["continue"]
) -> Wait[M, None]: ...
@overload
def wait_for(
    message: type[M], /, *, timeout: timedelta, optional: Literal[False] = ..., unanswered: Literal["undo"] = ...
) -> Wait[M]: ...
def wait_for(message: Any, /, *, timeout: timedelta, optional: bool = False, unanswered: Unanswered = "undo") -> Any:
    """Wait until the message is signalled, at most `timeout`.

    A wait that nobody answers undoes the saga; with `unanswered="continue"` it goes on, and the message reads as None.
    """
    what = f"wait_for({getattr(message, '__name__', repr(message))})"
    if not (isinstance(message, type) and issubclass(message, Message)):
        raise TypeError(f"{what}: what is signalled is a message: give the class of one")
    check_value(what, "timeout", timeout, DURATION)
    check_value(what, "optional", optional, FLAG)
    if unanswered not in ("undo", "continue"):
        raise TypeError(f"{what}: unanswered={unanswered!r} is neither 'undo' nor 'continue'")
    return Wait(message, timeout, optional=optional, unanswered=unanswered)
