"""A step of a saga: a method that builds a command, whose class says where it goes and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, Never, Self, overload

from typing_extensions import TypeVar

from consumers.retry import Retry
from sagas.flow import Node
from schemas import Command, Reply, Undo, line_of
from schemas.option_values import DURATION, FLAG, check_value, instance_of
from schemas.options import refuse_options

if TYPE_CHECKING:
    from sagas.definition import Saga

R = TypeVar("R", bound=Reply | None)
C = TypeVar("C", bound=Command[Any, Any])
C_co = TypeVar("C_co", bound=Command[Any, Any], covariant=True)
N_co = TypeVar("N_co", default=Never, covariant=True)
"""None where a reply may be missing, else Never: what a read of the reply may be besides."""

ATTEMPT_TIMEOUT = timedelta(seconds=30)
"""How long an attempt may take when the step does not say."""


class Unset(Enum):
    """Says that `undo` was not given, which differs from `undo=None`."""

    UNSET = "not given"


class Step(Node, Generic[C_co, N_co]):
    """Sends the command that its builder makes, and waits for the reply."""

    __handler__ = "step"

    def __init__(
        self,
        build: Callable[[Any], C_co],
        *,
        undo: Any = Unset.UNSET,
        pivot: bool = False,
        optional: bool = False,
        timeout: timedelta | None = None,
        retry: Retry | None = None,
    ) -> None:
        check = partial(check_value, f"step {build.__name__}", line=line_of(build))
        check("pivot", pivot, FLAG)
        check("optional", optional, FLAG)
        check("timeout", timeout, DURATION, or_none=True)
        check("retry", retry, instance_of(Retry, "attempts=5"), or_none=True)
        self.build, self.pivot, self.optional, self.timeout = build, pivot, optional, timeout
        self.retry = retry or Retry()
        self.undo_builder = undo
        self.line, self.name = line_of(build), build.__name__
        self.sends: tuple[type[Command[Any, Any]], ...] = ()
        """What its builder is annotated to return; known when the saga's class is checked."""

    @overload
    def __get__(self, saga: None, owner: type, /) -> Self: ...
    @overload
    def __get__(self: Step[Command[R, Any], N_co], saga: Saga[Any, Any], owner: type, /) -> R | N_co: ...
    def __get__(self, saga: Saga[Any, Any] | None, owner: type, /) -> Any:
        return self if saga is None else saga._replies[self.name]  # pyright: ignore[reportPrivateUsage] - parts of a saga read it

    @overload
    def undo(self, build: Callable[[Any, C_co], Command[Any, Any]], /) -> None: ...
    @overload
    def undo(
        self: Step[Command[R, Any], Any], build: Callable[[Any, C_co, R | None], Command[Any, Any]], /
    ) -> None: ...
    def undo(self, build: Callable[..., Any], /) -> None:
        """Make a method the builder of what undoes this step.

        It takes the command, and if it wants the reply, which is None when none came. What it builds is sent where the
        step's command went, and may be sent although that command was never handled.
        """
        self.undo_builder = build


@overload
def step(build: Callable[[Any], C], /) -> Step[C]: ...
@overload
def step(
    *,
    optional: Literal[True],
    undo: type[Undo[Any]] | None = ...,
    pivot: bool = ...,
    timeout: timedelta | None = ...,
    retry: Retry | None = ...,
) -> Callable[[Callable[[Any], C]], Step[C, None]]: ...
@overload
def step(
    *,
    optional: Literal[False] = ...,
    undo: type[Undo[Any]] | None = ...,
    pivot: bool = ...,
    timeout: timedelta | None = ...,
    retry: Retry | None = ...,
) -> Callable[[Callable[[Any], C]], Step[C]]: ...
def step(build: Any = None, /, **options: Any) -> Any:
    """Make a method that builds a command a step of the saga.

    Options: `undo=Undo` undoes by the mirrored command, `undo=None` says that there is nothing to undo, else give
    `@name.undo`. `pivot=True`: from its reply on the saga is not undone any more. `optional=True`: it stands inside
    `when`. `timeout` is for one attempt (30 s if not given); `retry` says how often and when the same command is sent
    again.
    """
    refuse_options("step", options, _OPTIONS, depth=2)
    return Step(build) if build else partial(Step, **options)


_OPTIONS = ("undo", "pivot", "optional", "timeout", "retry")
