"""How long appends wait: from a fault to the next acknowledged append on each partition that it hit.

An append counts if its owner decided on it after the fault, which the time of its record tells, and ends the wait when
its caller has the answer.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from tests.chaos.faults import Kind
from tests.chaos.streams.appends import appends_of
from tests.chaos.streams.history import History
from tests.chaos.streams.log_scan import Final


@dataclass(frozen=True, slots=True)
class Hit:
    """A fault that was inflicted, when by the wall clock, and the partitions that it concerned."""

    kind: Kind
    at_ms: int
    partitions: frozenset[int]


def unavailability(hits: Iterable[Hit], history: History, final: Final) -> dict[Kind, list[float]]:
    """Seconds per hit and partition. Where no append came any more, there is none."""
    to_wall_ms = time.time_ns() / 1e6 - time.monotonic_ns() / 1e6
    answers = defaultdict[int, list[tuple[int, float]]](list)
    for append in appends_of(history.operations, final).values():
        if append.found and append.acknowledged:
            event = append.found[-1]
            answers[event.partition].append((event.time_ms, append.ended / 1e6 + to_wall_ms))
    found = defaultdict[Kind, list[float]](list)
    for several in answers.values():
        several.sort()
    for hit in hits:
        for partition in hit.partitions:
            several = answers[partition]
            later = several[bisect_right(several, (hit.at_ms, float("inf"))) :]
            if later:
                found[hit.kind].append((min(answered for _, answered in later) - hit.at_ms) / 1000)
    return dict(found)
