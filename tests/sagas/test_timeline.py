"""Histories as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console

from sagas import Happened, SagaProcessor, timeline
from sagas.history import EVENTS, StepRefused, StepReplied, StepUndone, UndoSent
from sagas.timeline import as_json, lines, table
from schemas import Event, Message, Metadata, Nothing
from tests.sagas.trips import BookTrip, Charge, Declined, Trip, answers, everybody
from tests.sagas.world import World

START = datetime(2026, 1, 1, tzinfo=UTC)


def undone_trip() -> list[Happened]:
    """The history of a trip whose payment was declined."""

    def payments(message: Message, metadata: Metadata) -> Message | None:
        return Declined(reason="poor") if isinstance(message, Charge) else answers(message, metadata)

    world = World(SagaProcessor([BookTrip]), participants=everybody(payments=payments))
    world.ask("book_trip", "1", BookTrip.start(Trip(trip_id="1")))
    world.run()
    return [
        Happened(version, START + timedelta(milliseconds=250 * version), event)
        for version, event in enumerate(world.events("book_trip", "1"))
    ]


def test_plain_lines_say_when_what_and_why() -> None:
    """Start, the refusal with its fields, the undo with its command, the end."""
    shown = lines(timeline(undone_trip()))

    assert shown[0].startswith("  +0.000 s")
    assert "book_trip version 2" in shown[0]
    assert any("pay" in line and "refused" in line and "declined reason=poor" in line for line in shown)
    assert any("turns back" in line for line in shown)
    assert any("undo sent" in line and "cancel_hotel booking=H-1" in line for line in shown)
    assert "undone" in shown[-1]


@pytest.mark.parametrize(("is_final", "is_undone"), [(False, True), (True, False), (False, False)])
def test_a_refused_step_that_is_undone_names_the_way_out(is_final: bool, is_undone: bool) -> None:
    """P1: not if the refusal is final, and not of a step without an undo, such as a pivot."""
    refused = StepRefused(step="x", type="sold_out", version=1, refusal="{}", final=is_final)
    undo = UndoSent(step="x", type="t", version=1, command="{}", id="2", due_ms=0, in_doubt=True)
    events = [refused, undo] if is_undone else [refused]

    shown = lines(timeline(Happened(place, START, event) for place, event in enumerate(events)))

    told = "(an earlier run may have succeeded); declare its handler idempotent=True if the outside call knows a repeat"
    assert (told in shown[0]) is is_undone


def test_an_answer_that_says_nothing_reads_as_done() -> None:
    """A step whose command answers None was done; the wire form of None is nobody's business."""
    event = StepReplied(step="reserve", type=Nothing.__type_name__, version=1, reply="{}")

    assert lines(timeline([Happened(0, START, event)])) == ["  +0.000 s  reserve  done"]


def test_rows_as_json_count_from_the_start() -> None:
    """Milliseconds since the first event."""
    rows = as_json(timeline(undone_trip()))

    assert [row["since_start_ms"] for row in rows[:3]] == [0, 250, 500]
    assert rows[0]["what"] == "started"


def test_a_table_shows_the_same_in_a_terminal() -> None:
    """Rich renders every row."""
    output = StringIO()

    Console(file=output, width=140).print(table(timeline(undone_trip()), title="book_trip/1"))

    assert "book_trip/1" in output.getvalue()
    assert "turns back" in output.getvalue()


@pytest.mark.parametrize("kind", EVENTS)
def test_every_event_has_words(kind: type[Event]) -> None:
    """None is shown as its type name and JSON."""
    values = {
        name: {"int": 1, "bool": True, "str": "x"}[str(getattr(field.annotation, "__name__", ""))]
        for name, field in kind.model_fields.items()
    }
    event = kind.model_validate(values)

    (row,) = timeline([Happened(0, START, event)])

    assert row.what != event.__type_name__


def test_an_event_of_a_newer_release_is_shown_as_it_is() -> None:
    """An unknown type becomes its name and its fields."""

    class Newer(Event, name="test.newer"):
        step: str

    (row,) = timeline([Happened(0, START, Newer(step="x"))])

    assert (row.what, row.detail) == ("test.newer", '{"step":"x"}')
    assert timeline([Happened(0, START, StepUndone(step="x"))])[0].what == "undone"
