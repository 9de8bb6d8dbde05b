"""What the runners of a worker need to know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from consumers.answering import Answering
from consumers.breaker import Breaker
from consumers.dead_letters import DeadLetters
from consumers.rate import Bucket
from eventstore.clock import Clock
from schemas import Serde


@dataclass(slots=True, kw_only=True)
class Work:
    """One worker, as its runners see it."""

    name: str
    concurrency: int
    serde: Serde
    clock: Clock
    dead_letters: DeadLetters
    answering: Answering | None
    bucket: Bucket | None
    breakers: Sequence[Breaker]
