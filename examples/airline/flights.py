"""The flights' store, and how the days are put into it in order of time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial

from examples.airline.data import Flight
from examples.airline.messages import (
    Alternative,
    FlightArrived,
    FlightCancelled,
    FlightDeparted,
    FlightScheduled,
    OpenSeats,
)
from sagalog import ANY, EventStore, EventStoreError, Service

flights = EventStore[FlightScheduled | FlightDeparted | FlightArrived | FlightCancelled](
    "flights", events=[FlightScheduled, FlightDeparted, FlightArrived, FlightCancelled]
)

AT_ONCE = 200
ALTERNATIVES = 20
KNOWN_BEFORE = timedelta(days=4)
"""How long before it leaves a flight is in the plan."""

Happening = FlightScheduled | FlightDeparted | FlightArrived | FlightCancelled


def happenings(plan: Sequence[Flight]) -> Iterator[tuple[datetime, Flight, Happening]]:
    """Everything that happened, in order of time."""
    later = _later(plan)
    found: list[tuple[datetime, Flight, Happening]] = []
    for flight in plan:
        carrier, origin, destination, departs = flight.carrier, flight.origin, flight.destination, flight.departs
        scheduled = FlightScheduled(
            origin=origin,
            destination=destination,
            carrier=carrier,
            departs=departs,
            seats=flight.seats,
            sold=flight.sold,
        )
        found.append((departs - KNOWN_BEFORE, flight, scheduled))
        if flight.is_cancelled:
            cancelled = FlightCancelled(
                flight=flight.id, origin=origin, departs=departs, sold=flight.sold, later=later[flight.id]
            )
            found.append((departs, flight, cancelled))
            continue
        late = timedelta(minutes=flight.departure_delay)
        departed = FlightDeparted(
            carrier=carrier, origin=origin, destination=destination, delay_minutes=flight.departure_delay
        )
        arrived = FlightArrived(
            carrier=carrier, origin=origin, destination=destination, delay_minutes=flight.arrival_delay
        )
        found.append((departs + late, flight, departed))
        found.append((departs + late + timedelta(hours=3), flight, arrived))
    return iter(sorted(found, key=lambda one: (one[0], one[1].id)))


def _later(plan: Sequence[Flight]) -> dict[str, list[Alternative]]:
    """For each cancelled flight the next ones of its route that did leave."""
    routes = defaultdict[str, list[Flight]](list)
    for flight in plan:
        routes[flight.route].append(flight)
    later: dict[str, list[Alternative]] = {}
    for route in routes.values():
        for place, flight in enumerate(route):
            if flight.is_cancelled:
                left = [other for other in route[place + 1 :] if not other.is_cancelled][:ALTERNATIVES]
                later[flight.id] = [Alternative(flight=other.id, departs=other.departs) for other in left]
    return later


async def feed(
    service: Service, plan: Sequence[Flight], mine: Callable[[Flight], bool], told: Callable[[int], None]
) -> None:
    """Append what happened, in order of time; each append under an id, so that feeding again changes nothing."""
    fed = 0
    for chunk in _chunks([one for one in happenings(plan) if mine(one[1])]):
        work: list[Awaitable[object]] = []
        for flight, events in chunk.items():
            work.append(_surely(partial(_append, flight, events)))
            if isinstance(events[0], FlightScheduled) and not flight.is_cancelled:
                work.append(_surely(partial(_open, service, flight)))
        await asyncio.gather(*work)
        fed += sum(len(events) for events in chunk.values())
        told(fed)


async def _append(flight: Flight, events: Sequence[Happening]) -> None:
    await flights.append(flight.id, events, expected=ANY, commit_id=type(events[0]).__name__)


async def _open(service: Service, flight: Flight) -> None:
    free = flight.seats - flight.sold
    await service.ask(OpenSeats(flight=flight.id, seats=free), id=f"open {flight.id}")


async def _surely(work: Callable[[], Awaitable[None]]) -> None:
    """Try until it is known to have happened. It is asked for under the same id each time, so it happens once."""
    while True:
        try:
            return await work()
        except EventStoreError as error:
            if not error.is_retryable:
                raise
        await asyncio.sleep(AGAIN_SECONDS)


AGAIN_SECONDS = 0.5


def _chunks(found: Sequence[tuple[datetime, Flight, Happening]]) -> Iterator[dict[Flight, list[Happening]]]:
    """Cut into chunks with one append per stream, because appends of one chunk run side by side."""
    chunk: dict[Flight, list[Happening]] = {}
    for _, flight, event in found:
        if flight in chunk or len(chunk) == AT_ONCE:
            yield chunk
            chunk = {}
        chunk[flight] = [event]
    if chunk:
        yield chunk
