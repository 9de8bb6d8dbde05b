"""What a person wants to know: seats left per flight, delays per carrier and route, how the rebookings ended."""

from __future__ import annotations

from pydantic import BaseModel

from examples.airline.capacity import Seats
from examples.airline.flights import flights
from examples.airline.messages import FlightArrived, FlightCancelled, SeatsHeld, SeatsOpened, SeatsReleased
from examples.airline.rebooking import Rebook
from sagalog import Recorded, Table, View, on, table
from sagas.history import SagaCompleted, SagaStarted, SagaUndone


class SeatsLeft(View, topics=[Seats], version=1):
    """Seats that are left, by flight."""

    by_flight: Table[str, int]

    @on
    def opened(self, event: SeatsOpened, recorded: Recorded[SeatsOpened]) -> None:
        self.by_flight[recorded.stream] = event.seats

    @on
    def held(self, event: SeatsHeld, recorded: Recorded[SeatsHeld]) -> None:
        self.by_flight[recorded.stream] -= event.travellers

    @on
    def released(self, event: SeatsReleased, recorded: Recorded[SeatsReleased]) -> None:
        self.by_flight[recorded.stream] += event.travellers


class Delay(BaseModel, frozen=True):
    """Arrivals, their delays in minutes, and flights that never left."""

    arrived: int = 0
    minutes: int = 0
    cancelled: int = 0

    def plus(self, other: Delay) -> Delay:
        return Delay(
            arrived=self.arrived + other.arrived,
            minutes=self.minutes + other.minutes,
            cancelled=self.cancelled + other.cancelled,
        )


class Delays(View, topics=[flights], version=1):
    """Delays by carrier and route; flights of one route are in several partitions, so reads combine them."""

    by_route: Table[tuple[str, str, str], Delay] = table(merge=Delay.plus)
    by_origin: Table[str, Delay] = table(merge=Delay.plus)

    @on
    def arrived(self, event: FlightArrived) -> None:
        route = event.carrier, event.origin, event.destination
        delay = Delay(arrived=1, minutes=event.delay_minutes)
        self.by_route[route] = self.by_route.get(route, Delay()).plus(delay)
        self.by_origin[event.origin] = self.by_origin.get(event.origin, Delay()).plus(delay)

    @on
    def cancelled(self, event: FlightCancelled) -> None:
        before = self.by_origin.get(event.origin, Delay())
        self.by_origin[event.origin] = before.plus(Delay(cancelled=1))


def _sum(one: int, other: int) -> int:
    return one + other


class Endings(View, topics=[Rebook], version=1):
    """How many rebookings began and how they ended."""

    count: Table[str, int] = table(merge=_sum)

    @on
    def began(self, event: SagaStarted) -> None:
        self.count["started"] = self.count.get("started", 0) + 1

    @on
    def completed(self, event: SagaCompleted) -> None:
        self.count["completed"] = self.count.get("completed", 0) + 1

    @on
    def undone(self, event: SagaUndone) -> None:
        self.count["undone"] = self.count.get("undone", 0) + 1
