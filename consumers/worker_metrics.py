"""What a worker counts, by Prometheus name.

`queue_length` is the lag in records: what is in the worker's partitions and not acknowledged (transaction markers
count as records until they were polled past). Names that end in `_by_type_total` carry the message type as a label
in braces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.dispatch import Dispatch
from consumers.intake import Intake
from consumers.shares import Shares
from eventstore.log.errors import LogError

if TYPE_CHECKING:
    from consumers.worker import Worker


def worker_metrics(shares: Shares, dispatch: Dispatch, intake: Intake, worker: Worker) -> dict[str, float]:
    """All samples of one worker. Any thread."""
    handlers = {id(handler): handler for handler in worker.handlers.values()}.values()
    samples: dict[str, float] = {
        "jobs_in_flight": shares.in_flight(),
        "jobs_completed_total": sum(handler.stats.completed for handler in handlers),
        "jobs_failed_total": sum(handler.stats.failed for handler in handlers),
        "jobs_dead_lettered_total": dispatch.outcomes.dead_lettered,
        "records_skipped_total": intake.skipped,
        "partitions_assigned": len(shares.owned),
        "partitions_paused": sum(share.is_paused for share in list(shares.owned.values())),
        **dispatch.outcomes.durations.metrics("job_duration_seconds"),
    }
    try:
        samples["queue_length"] = shares.lag(shares.ends())
    except LogError:
        samples["log_unreachable"] = 1.0
    for handler in handlers:
        kinds = "|".join(sorted(message.__type_name__ for message in handler.types))
        samples[f'jobs_completed_by_type_total{{type="{kinds}"}}'] = handler.stats.completed
        samples[f'jobs_failed_by_type_total{{type="{kinds}"}}'] = handler.stats.failed
        samples[f'jobs_dead_lettered_by_type_total{{type="{kinds}"}}'] = handler.stats.dead_lettered
    for breaker in worker.breakers:
        samples[f'breaker_open{{breaker="{breaker.name}"}}'] = float(breaker.state != "closed")
    return samples
