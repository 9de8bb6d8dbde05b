"""Destinations that nobody serves: an error where nobody else can, a warning where somebody may."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from consumers import Service
from eventstore.component import Component, Plan
from eventstore.errors import DestinationNotHosted
from schemas import Command
from tests.consumers.service.app import Counter


class Misspelt(Command[None], to="taly", key="counter"):
    counter: str


class Foreign(Command[None], to="warehouse", key="counter"):
    counter: str


def sender(*messages: type[Command[None]]) -> Component:
    """A component that sends these."""
    return cast("Component", SimpleNamespace(__component__=lambda: Plan(name="sender", messages=messages)))


async def test_a_misspelt_destination_is_an_error_at_start_where_nobody_else_can_be_it() -> None:
    """Else its sender would wait for ever: command, sender, destination and the name that was meant are told."""
    with pytest.raises(DestinationNotHosted, match=r"Misspelt \(sender knows it\) goes to 'taly'.* mean 'tally'\? N"):
        async with Service("s", components=[sender(Misspelt), Counter], log="memory://?partitions=2"):
            pass


async def test_a_missing_component_is_an_error_at_start_where_nobody_else_can_be_it() -> None:
    """There is nothing like it: the message says to add it."""
    with pytest.raises(DestinationNotHosted, match=r"hosted nowhere: nobody but .* Add the component 'warehouse'"):
        async with Service("s", components=[sender(Foreign), Counter], log="memory://"):
            pass


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (Misspelt, "if you meant 'tally', correct to=; else start the service that hosts 'taly', if it does not run"),
        (Foreign, "start the service that hosts 'warehouse', if it does not run"),
    ],
)
async def test_a_destination_that_another_service_may_host_is_a_warning(
    command: type[Command[None]], told: str
) -> None:
    """On a log that others see too; it says what to do next."""
    with capture_logs() as events:
        async with Service("s", components=[sender(command), Counter], log=f"memory://{uuid4().hex}"):
            pass

    [warning] = [one for one in events if one["event"] == "destination_not_hosted_here"]
    assert (warning["destination"], warning["next"]) == (command.__to__, told)
