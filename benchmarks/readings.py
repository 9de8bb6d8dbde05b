"""What the stateful workloads count and sum: readings of 10,000 sensors, about 140 bytes each as JSON."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel

KEYS = 10_000
SENSORS = [f"sensor-{number:05}" for number in range(KEYS)]


class Reading(BaseModel, frozen=True):
    """The fields; a message has them too if it derives from both."""

    sensor: str
    amount: int
    site: str
    unit: str
    quality: str
    note: str


R = TypeVar("R", bound=Reading)


def reading(kind: type[R], sensor: str, amount: int) -> R:
    """One of a sensor."""
    return kind(sensor=sensor, amount=amount, site="north-07", unit="kWh", quality="good", note="automatic reading")
