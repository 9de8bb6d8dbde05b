"""Whether the commands that components send find somebody who takes them, as far as one service can tell.

A component that is hosted here and does not take a command that another one here sends to it is an error at start: the
sender would wait for ever. So is a destination that is not hosted here, on a log that nobody else sees; on another log
it is told as a warning, for another service may be it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import structlog

from eventstore.component import Plan
from eventstore.errors import CommandNotHandled, DestinationNotHosted
from eventstore.processor.topics import inbox_of
from schemas import Command, Message, is_command
from schemas.suggestions import nearest

log = structlog.get_logger(__name__)


def check_destinations(plans: Sequence[Plan], log_url: str) -> None:
    """Hold what the components send against what they take.

    Raises:
        CommandNotHandled: a destination that is hosted here does not take what is sent to it.
        DestinationNotHosted: a destination is not hosted here, and nobody else sees the log.
    """
    takers = {name: types for plan in plans for name, types in _taken(plan)}
    elsewhere: dict[str, set[str]] = {}
    for plan in plans:
        for command in _sent(plan):
            if command.__to__ not in takers:
                if _is_private(log_url):
                    raise DestinationNotHosted(command.__name__, command.__to__, takers, known_to=plan.name)
                elsewhere.setdefault(command.__to__, set()).add(command.__type_name__)
            elif command not in takers[command.__to__]:
                raise CommandNotHandled(plan.name, command.__name__, command.__to__)
    for destination, commands in sorted(elsewhere.items()):
        log.warning(
            "destination_not_hosted_here", destination=destination, commands=sorted(commands),
            next=_next(destination, nearest(destination, takers)),
        )  # fmt: skip


def _next(destination: str, near: str) -> str:
    start = f"start the service that hosts {destination!r}, if it does not run"
    return f"if you meant {near!r}, correct to=; else {start}" if near else start


def _is_private(log_url: str) -> bool:
    """Whether nobody but this service sees the log."""
    return log_url.partition("?")[0] == "memory://"


class Reachable:
    """What can be asked from here: anything, unless the log is this process's alone."""

    def __init__(self, plans: Sequence[Plan], log_url: str) -> None:
        names = frozenset(name for plan in plans for name, _ in _taken(plan))
        self._only = names if _is_private(log_url) else None

    def check(self, to: str, message: Message) -> None:
        """Let through what somebody may answer.

        Raises:
            DestinationNotHosted: nobody ever will.
        """
        if self._only is not None and to not in self._only:
            raise DestinationNotHosted(message.__type_name__, to, self._only)


def _messages(plan: Plan) -> set[type[Message]]:
    return {*plan.messages, *(message for processor in plan.processors for message in processor.messages)}


def _taken(plan: Plan) -> Iterable[tuple[str, set[type[Message]]]]:
    """The names under which the component gets commands, with the types that it knows."""
    names = {processor.name for processor in plan.processors}
    if any(topic.name == inbox_of(plan.name) for topic in plan.topics):
        names.add(plan.name)
    return [(name, _messages(plan)) for name in names]


def _sent(plan: Plan) -> list[type[Command[Any, Any]]]:
    """The commands that the component knows and that go to others."""
    own = {name for name, _ in _taken(plan)}
    found = [message for message in _messages(plan) if is_command(message) and getattr(message, "__to__", None)]
    return sorted((one for one in found if one.__to__ not in own), key=lambda one: one.__type_name__)
