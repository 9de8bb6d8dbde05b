"""Misspelt options of functions and classes: which one was meant, and on which line."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from consumers import Client, Reactor, Service, Worker
from eventstore import EventStore
from sagas import Participant, step
from schemas import DefinitionError, Event

HERE = re.escape(str(Path(__file__)))


@pytest.mark.parametrize(
    ("made", "options", "told"),
    [
        (Service, {"component": []}, "Service has no option component=: did you mean components=?"),
        (Worker, {"concurency": 3}, "Worker has no option concurency=: did you mean concurrency=?"),
        (Participant, {"topic": []}, "Participant has no option topic=: did you mean topics=?"),
        (Reactor, {"topic": []}, "Reactor has no option topic=: did you mean topics=?"),
        (EventStore, {"event": []}, "EventStore has no option event=: did you mean events=?"),
        (Worker("w").on, {"retries": 3}, "w.on has no option retries=: did you mean retry=?"),
        (Participant("p").on, {"idempotnt": True}, "p.on has no option idempotnt=: did you mean idempotent=?"),
        (Client, {"url": ""}, "Client has no option url=: it takes log=, name=, registry=, stores="),
        (step, {"undu": None}, "step has no option undu=: did you mean undo=?"),
        (step, {"zzz": None}, "step has no option zzz=: it takes undo=, pivot=, optional=, timeout=, retry="),
    ],
)
def test_a_misspelt_option_names_the_line_and_what_was_meant(made: Any, options: dict[str, Any], told: str) -> None:
    """As `Command(too=…)` does; a type error for whoever catches those."""
    positional = () if made in (step, Client) or inspect.ismethod(made) else ("x",)

    with pytest.raises(DefinitionError, match=rf"^{HERE}:\d+: {re.escape(told)}$") as raised:
        made(*positional, **options)

    line = Path(__file__).read_text().splitlines()[raised.value.line.number - 1]
    assert "made(*positional, **options)" in line
    assert isinstance(raised.value, TypeError)


class Went(Event, name="options.went", version=2):
    pass


@pytest.mark.parametrize(
    ("made", "given", "told"),
    [
        (EventStore, ("gate", [Went]), "EventStore takes options by name: write events=…"),
        (Went.upcast, (1,), "Message.upcast takes options by name: write from_version=…"),
        (Client, ("memory://",), "Client takes options by name: it has log=, name=, registry=, stores="),
    ],
)
def test_a_value_without_its_name_is_told_which_it_needs(made: Any, given: tuple[Any, ...], told: str) -> None:
    """At the line of the call; where none is needed, all that there are."""
    with pytest.raises(DefinitionError, match=rf"^{HERE}:\d+: {re.escape(told)}$"):
        made(*given)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ('Saga[Trip], name="odd", keys="trip_id"', "odd.py:3: Odd has no option keys=: did you mean key=?"),
        ('Saga[Trip], key="trip_id"', "odd.py:3: Odd has no name=: class Odd(Saga…, name=…)"),
        ("View, topic=[]", "odd.py:3: Odd has no option topic=: did you mean topics=?"),
    ],
)
def test_a_misspelt_or_missing_class_option_is_named_at_the_class(header: str, told: str) -> None:
    """What is missing is said with an example."""
    source = f"from consumers import View\nfrom tests.sagas.trips import Saga, Trip\nclass Odd({header}):\n    pass\n"

    with pytest.raises(DefinitionError) as raised:
        exec(compile(source, "odd.py", "exec"), {})

    assert str(raised.value) == told
