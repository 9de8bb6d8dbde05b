"""Workflows over several services that undo themselves: definition, orchestrator, participants, client."""

from _sagalog_ours import check_below

check_below(__name__)

from sagas.children import child
from sagas.client import Completed, Reason, Run, SagaClient, Undone
from sagas.definition import Saga, result
from sagas.errors import (
    BadUndo,
    HistoryNotReadable,
    NotWaitedFor,
    ReplyNotThere,
    SagaError,
    SagaKeyReused,
    SagaNotFound,
    SagaRejected,
    SagaVersionUnknown,
)
from sagas.flow import condition, parallel, when
from sagas.messages import SagaStatus
from sagas.orchestrator import SagaProcessor
from sagas.participant import Participant
from sagas.steps import step
from sagas.timeline import Happened, timeline
from sagas.waits import wait_for

__all__ = [
    "BadUndo",
    "Completed",
    "Happened",
    "HistoryNotReadable",
    "NotWaitedFor",
    "Participant",
    "Reason",
    "ReplyNotThere",
    "Run",
    "Saga",
    "SagaClient",
    "SagaError",
    "SagaKeyReused",
    "SagaNotFound",
    "SagaProcessor",
    "SagaRejected",
    "SagaStatus",
    "SagaVersionUnknown",
    "Undone",
    "child",
    "condition",
    "parallel",
    "result",
    "step",
    "timeline",
    "wait_for",
    "when",
]
