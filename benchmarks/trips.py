"""Sagas of three remote steps: how many a second with 200 in flight, and how long one takes alone.

Orchestrator, participant and client are one process. Every step is a command to the participant's inbox and a reply to
the saga's, so a saga is one start, three commands and three replies over the log, and seven events or more.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from datetime import timedelta

from pydantic import BaseModel

from benchmarks.figures import Figure, Target
from benchmarks.setting import RUN, Setting
from consumers import Service
from sagas import Completed, Participant, Saga, SagaClient, step
from schemas import Command, Reply, Undo

AGENTS = f"bench-{RUN}-agents"
IN_FLIGHT = 200
LONG = timedelta(seconds=60)


class Trip(BaseModel):
    """The input."""

    id: str


class Booked(Reply, name="bench.booked"):
    """The answer."""

    reference: str


class BookHotel(Command[Booked], to=AGENTS, key="trip"):
    """The first step."""

    trip: str


class BookFlight(Command[Booked], to=AGENTS, key="trip"):
    """The second step."""

    trip: str


class Charge(Command[Booked], to=AGENTS, key="trip"):
    """The third step."""

    trip: str
    reference: str


class BookTrip(Saga[Trip], name=f"bench_{RUN}_trip", key="id"):
    """The saga."""

    @step(undo=Undo)
    def hotel(self) -> BookHotel:
        """Remote."""
        return BookHotel(trip=self.input.id)

    @step(undo=Undo)
    def flight(self) -> BookFlight:
        """Remote."""
        return BookFlight(trip=self.input.id)

    @step(pivot=True)
    def charge(self) -> Charge:
        """Remote, with what the first step answered."""
        return Charge(trip=self.input.id, reference=self.hotel.reference)

    flow = hotel >> flight >> charge


agents = Participant(AGENTS, concurrency=IN_FLIGHT)


@agents.on
async def book(command: BookHotel | BookFlight | Charge) -> Booked:
    """At once."""
    return Booked(reference=command.trip)


@agents.on
async def undo(command: Undo[BookHotel] | Undo[BookFlight]) -> None:
    """Never called here."""


def measure(setting: Setting) -> list[Figure]:
    """Many, then one after the other."""
    seconds = 1.0 if setting.quick else 10.0
    rate, took = asyncio.run(_trips(setting, seconds))
    return [
        Figure("sagas of 3 remote steps", rate, "/s", target=Target(at_least=1_000)),
        Figure("saga p50, one at a time", statistics.median(took), "ms", target=Target(at_most=40)),
    ]


async def _trips(setting: Setting, seconds: float) -> tuple[float, list[float]]:
    service = Service(f"bench-{RUN}", components=[BookTrip, agents], log=setting.url, state=setting.state)
    async with service:
        await service.settled()
        client = SagaClient(service)
        took = await _traveller(client, "alone", time.perf_counter() + seconds / 3)
        began = time.perf_counter()
        many = (_traveller(client, f"party-{number}", began + seconds) for number in range(IN_FLIGHT))
        done = sum(map(len, await asyncio.gather(*many)))
        return done / (time.perf_counter() - began), took


async def _traveller(client: SagaClient, name: str, end: float) -> list[float]:
    """Milliseconds of each trip, one after the other."""
    took: list[float] = []
    while (began := time.perf_counter()) < end:
        outcome = await client.complete(BookTrip, Trip(id=f"{name}-{len(took)}"), timeout=LONG)
        assert isinstance(outcome, Completed), outcome
        took.append((time.perf_counter() - began) * 1_000)
    return took
