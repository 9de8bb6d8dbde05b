"""`sagalog group`: look at consumer groups, or say where one goes on."""

from __future__ import annotations

from collections.abc import Mapping

from cyclopts import App

from consumers.positions import Move, Where, confirmed
from consumers.positions import reset as reset_positions
from sagalog.cli.opening import Json, LogUrl, opened
from sagalog.cli.output import progress, show
from sagalog.cli.values import GroupName, TopicName

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
        "  sagalog group reset shop.mailer --topic orders.events --to end --yes --json\n"
    )
)
def reset(
    name: GroupName, /, *, log: LogUrl, topic: TopicName, to: Where, yes: bool = False, json: Json = False
) -> None:
    """Let a group go on at the start or at the end of a topic. Stop its members before.

    Parameters
    ----------
    name
        The group, such as shop or shop.mailer.
    topic
        The topic whose positions are set.
    to
        start: everything that the topic still holds is read again, and inputs of a processor that were refused are
        decided on again; end: nothing that it holds now is read, also what waits.
    yes
        Also when records that wait are skipped, or when the group has no positions in the topic so far.
    """
    with opened(log) as found:
        progress(f"looking at {name} and {topic}")
        move = reset_positions(found, name, topic, to, confirm=None if yes else confirmed(found))
    facts = {"group": name, "topic": topic, "positions": _by_partition(move), "new": move.is_new}
    facts |= {"skipped": _text_keys(move.skipped), "repeated": _text_keys(move.repeated)}
    show(facts, _told(move), json=json)


def _told(move: Move) -> str:
    lines = [f"{move.group} goes on in {move.topic} at:"]
    for place, offset in sorted(move.positions.items()):
        skipped, repeated = move.skipped.get(place.partition, 0), move.repeated.get(place.partition, 0)
        what = f", skips {skipped:,} records" if skipped else f", repeats {repeated:,} records" if repeated else ""
        lines.append(f"  partition {place.partition}: {offset}{what}")
    return "\n".join(lines)


def _by_partition(move: Move) -> dict[str, int]:
    return {str(place.partition): offset for place, offset in sorted(move.positions.items())}


def _text_keys(counts: Mapping[int, int]) -> dict[str, int]:
    return {str(number): count for number, count in sorted(counts.items())}
