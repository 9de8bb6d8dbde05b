"""Instants and times of day: kept, or refused when they are written."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, timezone
from typing import Any

import pytest

from schemas import Event, MemoryRegistry, Serde, Unencodable


class Opens(Event, name="times.opens"):
    at: time | None = None
    until: datetime | None = None


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"at": time(1, tzinfo=timezone(timedelta(hours=2)))}, "has a zone, which Avro's time has not"),
        ({"until": datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))}, "after the year 9999 in UTC"),
        ({"until": datetime.min.replace(tzinfo=timezone(timedelta(hours=5)))}, "before the year 1"),
    ],
)
def test_times_that_avro_could_not_give_back_are_refused(given: dict[str, Any], why: str) -> None:
    """When they are written: nobody could read the event any more."""
    with pytest.raises(Unencodable, match=why):
        Serde(MemoryRegistry(), [Opens]).encode(Opens(**given))


def test_the_first_and_the_last_instant_come_back() -> None:
    """The bounds themselves are fine."""
    serde = Serde(MemoryRegistry(), [Opens])
    for instant in datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC):
        assert serde.decode(serde.encode(Opens(until=instant))) == Opens(until=instant)


def test_an_offset_with_seconds_is_refused_in_json() -> None:
    """JSON's offsets are of minutes: the instant would move. Avro writes the instant."""
    amsterdam = timezone(timedelta(minutes=19, seconds=32))
    opens = Opens(until=datetime(1900, 1, 1, tzinfo=amsterdam))
    with pytest.raises(Unencodable, match="has an offset with seconds, which JSON has not"):
        Serde(MemoryRegistry(), [Opens], format="json").encode(opens)
    serde = Serde(MemoryRegistry(), [Opens])
    assert serde.decode(serde.encode(opens)) == opens
