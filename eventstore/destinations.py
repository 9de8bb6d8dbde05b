"""Whether the commands that components send find somebody who takes them, as far as one service can tell.

A component that is hosted here and does not take a command that another one here sends to it is an error at start: the
sender would wait for ever. A destination that is not hosted here is told in the log; another service may be it. Whoever
asks such a destination on a log that nobody else sees learns it at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import structlog

from eventstore.component import Plan
from eventstore.errors import CommandNotHandled, DestinationNotHosted
from eventstore.processor.topics import inbox_of
from schemas import Command, Message, is_command

log = structlog.get_logger(__name__)


def check_destinations(plans: Sequence[Plan]) -> None:
    """Hold what the components send against what they take.

    Raises:
        CommandNotHandled: a destination that is hosted here does not take what is sent to it.
    """
    takers = {name: types for plan in plans for name, types in _taken(plan)}
    elsewhere: dict[str, set[str]] = {}
    for plan in plans:
        for command in _sent(plan):
            if command.__to__ not in takers:
                elsewhere.setdefault(command.__to__, set()).add(command.__type_name__)
            elif command not in takers[command.__to__]:
                raise CommandNotHandled(plan.name, command.__name__, command.__to__)
    for destination, commands in sorted(elsewhere.items()):
        log.warning("destination_not_hosted_here", destination=destination, commands=sorted(commands))


class Reachable:
    """What can be asked from here: anything, unless the log is this process's alone."""

    def __init__(self, plans: Sequence[Plan], log_url: str) -> None:
        is_private = log_url.partition("?")[0] == "memory://"
        self._only = frozenset(name for plan in plans for name, _ in _taken(plan)) if is_private else None

    def check(self, to: str, message: Message) -> None:
        """Let through what somebody may answer.

        Raises:
            DestinationNotHosted: nobody ever will.
        """
        if self._only is not None and to not in self._only:
            raise DestinationNotHosted(message.__type_name__, to)


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
