"""What a nemesis does, and when: everything follows from the seed."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
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
    REBALANCE = "member joins and leaves"
    BROKER = "broker killed and started"
    BROKER_PAUSE = "broker stopped and resumed"
    CUT = "connections cut"
    DELAY = "requests delayed"
    COMMIT_UNSENT = "commit cut off before the broker saw it"
    COMMIT_UNANSWERED = "commit cut off after the broker obeyed"
    DISK = "state disk full"


OF_PROXY = frozenset({Kind.CUT, Kind.DELAY, Kind.COMMIT_UNSENT, Kind.COMMIT_UNANSWERED})
OF_BROKER = frozenset({Kind.BROKER, Kind.BROKER_PAUSE})
DISTURBING = frozenset({Kind.PAUSE, Kind.HANG, Kind.HANG_AND_KILL, Kind.CUT, Kind.DELAY}) | OF_BROKER
"""An owner may be replaced by these without knowing it: it, or the group's coordinator, cannot be heard for a while."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure. `seconds`: how long what failed stays away."""

    at: float
    kind: Kind
    victims: tuple[int, ...]
    """Slots of processes, or the number of a broker."""
    seconds: float

    def __str__(self) -> str:
        what = "broker" if self.kind in OF_BROKER else "process"
        whom = f"{what} {', '.join(map(str, self.victims))}, " if self.victims else ""
        return f"{self.at:5.1f} s  {self.kind.value} ({whom}{self.seconds:.1f} s)"


_SECONDS = {
    Kind.PAUSE: (0.3, 4.0),
    Kind.HANG: (7.5, 14.0),
    Kind.HANG_AND_KILL: (2.0, 8.0),
    Kind.REBALANCE: (1.0, 8.0),
    Kind.BROKER_PAUSE: (0.5, 8.0),
    Kind.CUT: (0.1, 9.0),
    Kind.DELAY: (1.0, 8.0),
    Kind.DISK: (1.0, 8.0),
}
_USUAL_SECONDS = (0.0, 4.0)


@dataclass(frozen=True, slots=True)
class Nemesis:
    """What is done to one kind of storm, how often and how soon."""

    name: str
    weights: Mapping[Kind, float]
    first: tuple[float, float]
    """When the first fault comes."""
    gaps: tuple[tuple[float, ...], tuple[float, float]]
    """Seconds between two: one of several, times something between two factors."""

    def schedule(
        self, seed: int, *, processes: int, proxied: int, until: float, brokers: int = 1,
        kinds: Collection[Kind] = tuple(Kind),
    ) -> list[Fault]:  # fmt: skip
        """The faults of a storm, in order of time. `proxied`: the process whose connections can be broken."""
        chance = random.Random(f"{self.name} {seed}")
        weights = {kind: weight for kind, weight in self.weights.items() if kind in kinds}
        faults: list[Fault] = []
        at = chance.uniform(*self.first)
        while at < until:
            kind = chance.choices(list(weights), list(weights.values()))[0]
            seconds = chance.uniform(*_SECONDS.get(kind, _USUAL_SECONDS))
            faults.append(Fault(at, kind, _victims(chance, kind, processes, proxied, brokers), seconds))
            several, factors = self.gaps
            at += chance.choice(several) * chance.uniform(*factors)
        return faults


def _victims(chance: random.Random, kind: Kind, processes: int, proxied: int, brokers: int) -> tuple[int, ...]:
    if kind in OF_PROXY:
        return (proxied,)
    if kind in OF_BROKER:
        return (chance.randint(1, brokers),)
    if kind is Kind.REBALANCE:
        return ()
    return tuple(sorted(chance.sample(range(processes), 2 if kind is Kind.KILL_TWO else 1)))


OVER_STREAMS = Nemesis(
    "nemesis of streams",
    {
        Kind.KILL: 5,
        Kind.KILL_TWO: 2,
        Kind.PAUSE: 2,
        Kind.HANG: 3,
        Kind.HANG_AND_KILL: 1,
        Kind.TERMINATE: 2,
        Kind.REBALANCE: 2,
        Kind.BROKER: 2,
        Kind.BROKER_PAUSE: 1,
        Kind.CUT: 2,
        Kind.DELAY: 2,
        Kind.COMMIT_UNSENT: 2,
        Kind.COMMIT_UNANSWERED: 3,
        Kind.DISK: 2,
    },
    first=(1.0, 3.0),
    gaps=((0.1, 2.0, 6.0, 12.0), (0.5, 1.5)),
)
OF_AIRLINE = Nemesis(
    "nemesis",
    {
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
    },
    first=(3.0, 9.0),
    gaps=((0.05, 1.0, 1.0, 3.0), (0.5, 3.0)),
)
