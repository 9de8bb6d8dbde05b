"""A broken promise, and the operations that show it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from tests.chaos.streams.history import Operation


class Rule(Enum):
    """What is promised."""

    VERSIONS = "versions are 0, 1, 2, … in the log's order, on one partition"
    WHOLE = "an append is there wholly and in one piece, or not at all"
    ONCE = "an append or erasure is there at most once"
    ACKNOWLEDGED = "an acknowledged append is there, where its answer says"
    REFUSED = "a refused append or erasure is not there"
    REPEATS = "all answers under one commit id are equal, and one content has it"
    EXPECTED = "an append or erasure is where its caller expected the stream to be, and is refused only elsewhere"
    UNKNOWN_WRITER = "what is there was appended by somebody"
    ERASED = "an acknowledged erasure is there, as its answer says, and what it erased is read no more"
    KEPT = "the log keeps what is not erased, and has tombstones for the rest as far as it says"
    PREFIX = "a read gives a part of the stream as it is in the log"
    BATCHES = "a read ends where an append ends"
    MONOTONIC = "reads from one owner do not step back"
    FRESH = "a read shows what was acknowledged before it began"
    LINEARIZABLE = "appends, erasures and consistent reads are linearizable"
    SUBSCRIBED = "a subscription gives each event once, in order per stream, and leaves out erased ones alone"
    TIMERS = "a timer fires once, in its time, after what the inbox had before"
    RECOVERY = "every partition takes appends when nothing is broken any more"
    PROCESS = "no process ends by itself, each ends in order when it is asked to"
    POISON = "nothing becomes a dead letter"


@dataclass(frozen=True, slots=True)
class Violation:
    """One of them."""

    rule: Rule
    what: str
    operations: tuple[str, ...] = ()

    def __str__(self) -> str:
        shown = "".join(f"\n      {operation}" for operation in self.operations)
        return f"{self.rule.name}: {self.what}{shown}"


def violated(rule: Rule, what: str, *operations: Operation) -> Violation:
    """A violation that these operations show."""
    return Violation(rule, what, described(operations))


def described(operations: Iterable[Operation]) -> tuple[str, ...]:
    """For people, in the order in which they began."""
    return tuple(str(operation) for operation in sorted(operations, key=lambda each: each.began))
