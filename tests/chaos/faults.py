"""What the nemesis does, and when: everything follows from the seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """A way to fail."""

    KILL = "kill -9"
    KILL_TWO = "kill -9 of two"
    PAUSE = "stopped for less than a session"
    HANG = "stopped for longer than a session"
    HANG_AND_KILL = "stopped, then kill -9"
    TERMINATE = "SIGTERM"
    BROKER = "broker killed and started"
    CUT = "connections cut"
    COMMIT_UNSENT = "commit cut off before the broker saw it"
    COMMIT_UNANSWERED = "commit cut off after the broker obeyed"


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure. `seconds`: how long what failed stays away."""

    at: float
    kind: Kind
    victims: tuple[int, ...]
    seconds: float

    def __str__(self) -> str:
        whom = ", ".join(map(str, self.victims)) or "-"
        return f"{self.at:5.1f} s  {self.kind.value} (process {whom}, {self.seconds:.1f} s)"


_WEIGHTS = {
    Kind.KILL: 6,
    Kind.KILL_TWO: 2,
    Kind.PAUSE: 2,
    Kind.HANG: 3,
    Kind.HANG_AND_KILL: 1,
    Kind.TERMINATE: 3,
    Kind.BROKER: 1,
    Kind.CUT: 2,
    Kind.COMMIT_UNSENT: 2,
    Kind.COMMIT_UNANSWERED: 2,
}
_SECONDS = {
    Kind.PAUSE: (0.3, 4.0),
    Kind.HANG: (7.5, 14.0),
    Kind.HANG_AND_KILL: (2.0, 8.0),
    Kind.BROKER: (0.0, 4.0),
    Kind.CUT: (0.1, 5.0),
}
FIRST_FAULT_SECONDS = 3.0
_USUAL_SECONDS = (0.0, 4.0)
_OF_THE_PROXY = frozenset({Kind.CUT, Kind.COMMIT_UNSENT, Kind.COMMIT_UNANSWERED})


def schedule(seed: int, *, processes: int, proxied: int, until: float) -> list[Fault]:
    """The faults of a storm, in order of time. `proxied`: the process whose connections can be cut."""
    chance = random.Random(f"nemesis {seed}")
    faults: list[Fault] = []
    at = chance.uniform(FIRST_FAULT_SECONDS, 3 * FIRST_FAULT_SECONDS)
    while at < until:
        kind = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        faults.append(Fault(at, kind, _victims(chance, kind, processes, proxied), _seconds(chance, kind)))
        at += chance.choice((0.05, 1.0, 1.0, 3.0)) * chance.uniform(0.5, 3.0)
    return faults


def _victims(chance: random.Random, kind: Kind, processes: int, proxied: int) -> tuple[int, ...]:
    if kind is Kind.BROKER:
        return ()
    if kind in _OF_THE_PROXY:
        return (proxied,)
    return tuple(chance.sample(range(processes), 2 if kind is Kind.KILL_TWO else 1))


def _seconds(chance: random.Random, kind: Kind) -> float:
    return chance.uniform(*_SECONDS.get(kind, _USUAL_SECONDS))
