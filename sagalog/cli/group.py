"""`sagalog group`: look at consumer groups, or say where one goes on."""

from __future__ import annotations

from cyclopts import App

from consumers.positions import Where
from consumers.positions import reset as reset_positions
from sagalog.cli.opening import Json, LogUrl, opened
from sagalog.cli.output import progress, show

group = App(name="group", help="Look at consumer groups, or say where one goes on.")


@group.command(name="list", help_epilogue="Examples:\n  sagalog group list\n")
def list_(*, log: LogUrl, json: Json = False) -> None:
    """List the groups that have members or positions."""
    with opened(log) as found:
        groups = found.groups()
    show({"groups": groups}, "\n".join(groups) or "no groups", json=json)


@group.command(
    help_epilogue=(
        "Examples:\n  sagalog group reset shop --topic stock.inbox --to start\n"
        "  sagalog group reset shop.mailer --topic orders.events --to end --json\n"
    )
)
def reset(name: str, /, *, log: LogUrl, topic: str, to: Where, json: Json = False) -> None:
    """Let a group go on at the start or at the end of a topic. Stop its members before.

    Parameters
    ----------
    name
        The group, such as shop or shop.mailer.
    topic
        The topic whose positions are set.
    to
        start: everything that the topic still holds is read again, and inputs of a processor that were refused are
        decided on again; end: nothing that it holds now is read.
    """
    with opened(log) as found:
        progress(f"joining {name}")
        positions = reset_positions(found, name, topic, to)
    said = {str(place.partition): offset for place, offset in sorted(positions.items())}
    text = "\n".join(
        [f"{name} goes on in {topic} at:", *(f"  partition {number}: {at}" for number, at in said.items())]
    )
    show({"group": name, "topic": topic, "positions": said}, text, json=json)
