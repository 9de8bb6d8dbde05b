"""The airline as one service: `sagalog run examples.airline.service:service --log … --processes 3`."""

from __future__ import annotations

from examples.airline.capacity import Hotels, Seats
from examples.airline.flights import flights
from examples.airline.rebooking import Rebook, notices, rebooking, settlement
from examples.airline.views import Delays, Endings, SeatsLeft
from sagalog import Component, Service


def components() -> list[Component]:
    """What it hosts."""
    return [flights, Seats, Hotels, rebooking, Rebook, settlement, notices, SeatsLeft, Delays, Endings]


service = Service("airline", components=components())
