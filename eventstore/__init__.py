"""The write side: logs, processors, streams and aggregates."""

from _sagalog_ours import check_below

check_below(__name__)

from eventstore.aggregate import Aggregate, decide, evolve
from eventstore.component import Component, Plan, Runtime
from eventstore.decider import Decider, Decision
from eventstore.durable import DurableState
from eventstore.errors import AskTimedOut, CommitIdReused, EventStoreError, IdReused, InputFailed, WrongExpectedVersion
from eventstore.expected import ANY, NO_STREAM, STREAM_EXISTS, Expected
from eventstore.log import open_log
from eventstore.log.errors import LogClosed, LogError, LogMissing, OutcomeUnknown
from eventstore.processor.port import DecideContext, Processor, StateContext, StateProcessor
from eventstore.processor.snapshots import Snapshots
from eventstore.specification import given
from eventstore.state.errors import StateError
from eventstore.store import EventStore
from eventstore.streams import Appended, Erased, Position, Recorded
from eventstore.subject_keys import ForgetUnfinished, MasterKeys, SubjectForgotten, WrappedKey

__all__ = [
    "ANY",
    "NO_STREAM",
    "STREAM_EXISTS",
    "Aggregate",
    "Appended",
    "AskTimedOut",
    "CommitIdReused",
    "Component",
    "DecideContext",
    "Decider",
    "Decision",
    "DurableState",
    "Erased",
    "EventStore",
    "EventStoreError",
    "Expected",
    "ForgetUnfinished",
    "IdReused",
    "InputFailed",
    "LogClosed",
    "LogError",
    "LogMissing",
    "MasterKeys",
    "OutcomeUnknown",
    "Plan",
    "Position",
    "Processor",
    "Recorded",
    "Runtime",
    "Snapshots",
    "StateContext",
    "StateError",
    "StateProcessor",
    "SubjectForgotten",
    "WrappedKey",
    "WrongExpectedVersion",
    "decide",
    "evolve",
    "given",
    "open_log",
]
