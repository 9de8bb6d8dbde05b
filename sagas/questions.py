"""What the orchestrator answers about a saga: how it stands, and its history page by page."""

from __future__ import annotations

from base64 import b64encode
from itertools import accumulate

from eventstore.processor.index import StoredEvent
from eventstore.processor.port import DecideContext
from sagas.messages import HistoryPage, SagaStatus
from sagas.state import SagaState, Stage

PAGE_EVENTS = 200
PAGE_BYTES = 256 * 1024
"""Of encoded events, before base64."""
_UNDER_WAY = (Stage.SENT, Stage.UNDOING, Stage.NOT_BUILT, Stage.PARKED)


def page_of(context: DecideContext[SagaState], after: int) -> HistoryPage:
    """The events after a version, as many as a page holds."""
    stored = context.past(after=after, limit=PAGE_EVENTS)
    shown = _fitting(stored)
    return HistoryPage(
        first=after + 1,
        timestamps_ms=[each.timestamp_ms for each in shown],
        events=[b64encode(each.value).decode() for each in shown],
        is_last=len(shown) == len(stored) < PAGE_EVENTS,
    )


def status_of(state: SagaState) -> SagaStatus:
    """How a saga stands, for people."""
    return SagaStatus(
        key=state.key,
        version=state.version,
        phase=state.phase.value,
        steps={name: progress.stage.value for name, progress in state.steps.items()},
        attempts={name: each.attempt for name, each in state.steps.items() if each.stage in _UNDER_WAY},
        parked=[name for name, progress in state.steps.items() if progress.stage is Stage.PARKED],
        step=state.turned_at,
        reason=state.reason,
        pivot_passed=state.pivot_passed,
    )


def _fitting(stored: list[StoredEvent]) -> list[StoredEvent]:
    """As many as a page may hold, one at least."""
    sizes = accumulate(len(each.value) for each in stored)
    return stored[: max(1, sum(size <= PAGE_BYTES for size in sizes))]
