"""Event sourcing and sagas on Apache Kafka: everything that programs need, in one import.

A name is imported from its package when it is first used, so that commands start fast. Type checkers see plain imports.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from _sagalog_ours import check_below

check_below(__name__)

if TYPE_CHECKING:
    from consumers import (
        Breaker,
        Client,
        Context,
        Permanent,
        Queryable,
        Rate,
        Reactor,
        Retry,
        RetryAfter,
        Rows,
        Service,
        Table,
        View,
        Worker,
        on,
        table,
    )
    from eventstore import (
        ANY,
        NO_STREAM,
        STREAM_EXISTS,
        Aggregate,
        Appended,
        AskTimedOut,
        CommitIdReused,
        Component,
        DecideContext,
        Decider,
        Decision,
        DurableState,
        Erased,
        EventStore,
        EventStoreError,
        ForgetUnfinished,
        IdReused,
        InputFailed,
        LogClosed,
        LogMissing,
        MasterKeys,
        OutcomeUnknown,
        Position,
        Recorded,
        Snapshots,
        StateContext,
        StateProcessor,
        SubjectForgotten,
        WrappedKey,
        WrongExpectedVersion,
        decide,
        evolve,
        given,
    )
    from sagas import (
        Completed,
        Participant,
        Run,
        Saga,
        SagaClient,
        SagaStatus,
        Undone,
        child,
        condition,
        parallel,
        result,
        step,
        wait_for,
        when,
    )
    from schemas import (
        Command,
        DefinitionError,
        Event,
        Message,
        Metadata,
        Personal,
        Redacted,
        Refusal,
        Reply,
        Undo,
        personal,
    )

__all__ = [
    "ANY",
    "NO_STREAM",
    "STREAM_EXISTS",
    "Aggregate",
    "Appended",
    "AskTimedOut",
    "Breaker",
    "Client",
    "Command",
    "CommitIdReused",
    "Completed",
    "Component",
    "Context",
    "DecideContext",
    "Decider",
    "Decision",
    "DefinitionError",
    "DurableState",
    "Erased",
    "Event",
    "EventStore",
    "EventStoreError",
    "ForgetUnfinished",
    "IdReused",
    "InputFailed",
    "LogClosed",
    "LogMissing",
    "MasterKeys",
    "Message",
    "Metadata",
    "OutcomeUnknown",
    "Participant",
    "Permanent",
    "Personal",
    "Position",
    "Queryable",
    "Rate",
    "Reactor",
    "Recorded",
    "Redacted",
    "Refusal",
    "Reply",
    "Retry",
    "RetryAfter",
    "Rows",
    "Run",
    "Saga",
    "SagaClient",
    "SagaStatus",
    "Service",
    "Snapshots",
    "StateContext",
    "StateProcessor",
    "SubjectForgotten",
    "Table",
    "Undo",
    "Undone",
    "View",
    "Worker",
    "WrappedKey",
    "WrongExpectedVersion",
    "child",
    "condition",
    "decide",
    "evolve",
    "given",
    "on",
    "parallel",
    "personal",
    "result",
    "step",
    "table",
    "wait_for",
    "when",
]

_PACKAGES = ("schemas", "eventstore", "consumers", "sagas")

if not TYPE_CHECKING:  # or every name would seem to exist

    def __getattr__(name: str) -> object:
        """Import a public name."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from sagalog.logs import configure_unless_done

        configure_unless_done()
        home = next(found for package in _PACKAGES if name in (found := import_module(package)).__all__)
        value = globals()[name] = getattr(home, name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
