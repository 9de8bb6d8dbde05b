"""What the nemesis does to a store, and when: everything follows from the seed."""

from __future__ import annotations

import random
from collections.abc import Collection
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
    """Slots of owners, or the number of a broker."""
    seconds: float

    def __str__(self) -> str:
        what = "broker" if self.kind in OF_BROKER else "owner"
        whom = f"{what} {', '.join(map(str, self.victims))}, " if self.victims else ""
        return f"{self.at:5.1f} s  {self.kind.value} ({whom}{self.seconds:.1f} s)"


_WEIGHTS = {
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
}
_SECONDS = {
    Kind.PAUSE: (0.3, 4.0),
    Kind.HANG: (7.5, 14.0),
    Kind.HANG_AND_KILL: (2.0, 8.0),
    Kind.REBALANCE: (1.0, 8.0),
    Kind.BROKER: (0.0, 4.0),
    Kind.BROKER_PAUSE: (0.5, 8.0),
    Kind.CUT: (0.1, 9.0),
    Kind.DELAY: (1.0, 8.0),
    Kind.DISK: (1.0, 8.0),
}
_USUAL_SECONDS = (0.0, 4.0)
_GAPS_SECONDS = (0.1, 2.0, 6.0, 12.0)


def schedule(
    seed: int, *, owners: int, proxied: int, brokers: int, until: float, kinds: Collection[Kind] = tuple(Kind)
) -> list[Fault]:
    """The faults of a storm, in order of time. `proxied`: the owner whose connections can be broken."""
    chance = random.Random(f"nemesis of streams {seed}")
    weights = {kind: weight for kind, weight in _WEIGHTS.items() if kind in kinds}
    faults: list[Fault] = []
    at = chance.uniform(1.0, 3.0)
    while at < until:
        kind = chance.choices(list(weights), list(weights.values()))[0]
        seconds = chance.uniform(*_SECONDS.get(kind, _USUAL_SECONDS))
        faults.append(Fault(at, kind, _victims(chance, kind, owners, proxied, brokers), seconds))
        at += chance.choice(_GAPS_SECONDS) * chance.uniform(0.5, 1.5)
    return faults


def _victims(chance: random.Random, kind: Kind, owners: int, proxied: int, brokers: int) -> tuple[int, ...]:
    if kind in OF_PROXY:
        return (proxied,)
    if kind in OF_BROKER:
        return (chance.randint(1, brokers),)
    if kind is Kind.REBALANCE:
        return ()
    return tuple(sorted(chance.sample(range(owners), 2 if kind is Kind.KILL_TWO else 1)))
