"""The errors of sagas: one root, one tree.

::

    SagaError
    ├── SagaKeyReused             the key stands for a saga that was started with other input
    ├── SagaKeyEmpty              the input has an empty key
    ├── SagaNotFound              no saga was ever started under this key
    ├── SagaNameUnknown           no saga of this name ever ran on this log
    ├── SagaVersionUnknown        the saga was started by code of a version that this process does not have
    ├── SagaRejected              the orchestrator could not take the message
    ├── NotWaitedFor              a signal that the saga never waits for
    ├── ReplyNotThere             a builder reads a reply that is not there
    ├── BadStep                   a step's builder does not give what it is annotated to
    ├── BadUndo                   an undo builder does not give one command
    └── HistoryNotReadable        a page of history could not be had

Errors in a definition are `schemas.DefinitionError`s, raised when the module is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from eventstore.processor.port import NotKnownHere


class SagaError(Exception):
    """The root of all errors of `sagas`."""

    is_retryable: ClassVar[bool] = False
    """Whether the same call may succeed when it is made again."""


class SagaKeyReused(SagaError):
    """The key stands for a saga with other input: use another key, or the same input.

    Personal data is sealed anew each time it is protected, so for a repeat the protected input is to be kept.
    """

    def __init__(self, saga: str, key: str, *, personal: Sequence[str] = ()) -> None:
        """`personal`: the fields of its input that hold personal data."""
        sealed = (
            f"; if it is the same but for {' and '.join(personal)}: personal data is sealed anew each time, so keep "
            "what `await service.protect(input)` returned, and give that again"
        )
        super().__init__(
            f"{saga}/{key} was started with other input: give a new saga a key of its own{sealed if personal else ''}"
        )
        self.saga, self.key, self.personal = saga, key, tuple(personal)


class SagaKeyEmpty(SagaError, ValueError):
    """The input's key is empty, and messages for the saga are sent by it: give each saga a key of its own."""

    def __init__(self, saga: str, field: str) -> None:
        super().__init__(
            f"{saga} cannot be started with an empty {field}: that is its key, by which its messages are sent; give "
            "each saga a key of its own"
        )
        self.saga, self.field = saga, field


class SagaNotFound(SagaError):
    """No saga was ever started under this key."""

    def __init__(self, saga: str, key: str) -> None:
        super().__init__(f"there is no {saga}/{key}: start it first, and check the key")
        self.saga, self.key = saga, key


class SagaNameUnknown(SagaError):
    """No saga of this name ever ran on this log: the message lists those that did."""

    def __init__(self, saga: str, known: Sequence[str]) -> None:
        there = f"there are {', '.join(known)}" if known else "no saga ever ran on it"
        super().__init__(f"this log has no saga named {saga!r}: {there}; check the name and the log's URL")
        self.saga, self.known = saga, tuple(known)


class SagaVersionUnknown(SagaError, NotKnownHere):
    """This process does not have the version under which the saga was started: deploy it, or keep the old class."""

    is_retryable = True

    def __init__(self, saga: str, version: int, known: list[int]) -> None:
        have = ", ".join(map(str, known)) or "others"
        super().__init__(
            f"{saga} version {version} is not known where it runs (known there: {have}): deploy code that has it, and "
            "keep the classes of old versions among the service's components until their sagas have ended"
        )
        self.saga, self.version, self.known = saga, version, known


class SagaRejected(SagaError):
    """The orchestrator could not take the message; the error says why."""

    def __init__(self, saga: str, key: str, why: str) -> None:
        super().__init__(f"{saga}/{key} could not take the message: {why}")
        self.saga, self.key, self.why = saga, key, why


class NotWaitedFor(SagaError):
    """The signal is of no use: the saga has no such wait, or has ended."""

    def __init__(self, saga: str, key: str, why: str) -> None:
        super().__init__(f"{saga}/{key} does not take the signal: {why}")
        self.saga, self.key, self.why = saga, key, why


class ReplyNotThere(SagaError):
    """A builder reads a reply that is not there, in a way that import could not see."""

    def __init__(self, saga: str, name: str) -> None:
        super().__init__(
            f"{saga}: the reply of {name!r} is not there yet: read it in the builder itself, where import checks it"
        )
        self.saga, self.name = saga, name


class BadStep(SagaError):
    """A step's builder gave something else than the command that its annotation names: return that one."""

    def __init__(self, saga: str, step: str, given: str, declared: str) -> None:
        super().__init__(
            f"{saga}.{step} gave {given} and is annotated to return {declared}: return that, or annotate what it gives"
        )
        self.saga, self.step, self.given, self.declared = saga, step, given, declared


class BadUndo(SagaError):
    """An undo builder did not give a command: return one."""

    def __init__(self, saga: str, step: str, given: str) -> None:
        super().__init__(f"{saga}: the undo of {step} gave {given}, which is no command: return one")
        self.saga, self.step, self.given = saga, step, given


class HistoryNotReadable(SagaError):
    """The owner answered something else than a page of history: both sides must run the same release."""

    def __init__(self, saga: str, key: str, answer: str) -> None:
        super().__init__(f"{saga}/{key}: asked for its history, got {answer}: run the same release on both sides")
        self.saga, self.key, self.answer = saga, key, answer
