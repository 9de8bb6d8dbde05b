"""What one event leads to: the commands that its handler yields, or a dead letter.

Handlers are pure; what they yield has ids that follow from the event's, so that its destination knows a repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from consumers.delivery import metadata_of, timestamp_of
from eventstore.component import Host
from eventstore.dead_letters import dead_letter_headers, fitting
from eventstore.event_records import place_of
from eventstore.log.errors import LogError, MessageTooLarge
from eventstore.log.records import Record
from eventstore.processor.context import OVERHEAD_BYTES, derived_id
from eventstore.processor.inputs import Outgoing
from eventstore.processor.routes import Routes
from eventstore.processor.topics import dead_letters_of, inbox_of
from eventstore.raised import FROM_OUTSIDE
from eventstore.streams import Position, Recorded
from schemas import Command, Event, Message, Metadata, key_of
from schemas.error_text import error_text

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Reaction:
    """A handler of events."""

    function: Callable[..., Any]
    wants_recorded: bool


class Output(Protocol):
    """What a reactor's loop writes for what it reads."""

    @property
    def skipped(self) -> int:
        """How many records led to nothing, for nobody handles their type."""
        ...

    @property
    def failed(self) -> int:
        """How many became dead letters."""
        ...

    def of(self, record: Record, /) -> list[Outgoing]:
        """What one record leads to. Raises what stops the loop: an error of the surroundings."""
        ...

    def of_refused(self, record: Record, error: BaseException, /) -> list[Outgoing]:
        """What is written in place of that which the log does not take. Raises `error` if nothing may be."""
        ...


class Reactions:
    """The `Output` of a reactor: commands and dead letters."""

    def __init__(self, host: Host, reactor: str, group: str, reactions: Mapping[type[Message], Reaction]) -> None:
        self._host, self._reactor, self._group, self._reactions = host, reactor, group, reactions
        self._names = {event.__type_name__ for event in reactions}
        self._routes = Routes(host.log)
        self.skipped = self.failed = 0

    def of(self, record: Record) -> list[Outgoing]:
        try:
            return self._commands(record)
        except (LogError, MemoryError, OSError) as error:
            if not isinstance(error, MessageTooLarge):
                raise
            return self.of_refused(record, error)
        except FROM_OUTSIDE:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a user's handler raises makes the record poison
            return self.of_refused(record, error)

    def of_refused(self, record: Record, error: BaseException) -> list[Outgoing]:
        log.warning(
            "record_dead_lettered", group=self._group, topic=record.topic, partition=record.partition,
            offset=record.offset, error=type(error).__name__, detail=error_text(error)[:500],
        )  # fmt: skip
        self.failed += 1
        now_ms = self._host.clock.now_ms()
        headers = dead_letter_headers(
            headers=tuple(record.headers), topic=record.topic, partition=record.partition, offset=record.offset,
            group=self._group, error=error, attempts=1, now_ms=now_ms,
        )  # fmt: skip
        value, headers = fitting(record.key, record.value, headers, self._routes.message_max_bytes)
        return [(dead_letters_of(record.topic, self._group), record.partition, record.key, value, headers, now_ms)]

    def _commands(self, record: Record) -> list[Outgoing]:
        serde = self._host.serde
        if record.value is None:
            return []
        event = serde.decode(record.value) if serde.type_of(record.value).name in self._names else None
        reaction = None if event is None else self._reactions.get(type(event))
        if reaction is None or not isinstance(event, Event):
            self.skipped += 1
            return []
        metadata = metadata_of(record)
        commands = self._call(reaction, event, metadata, record)
        return [self._outgoing(command, metadata, number) for number, command in enumerate(commands)]

    def _call(self, reaction: Reaction, event: Event, metadata: Metadata, record: Record) -> list[Command[Any, Any]]:
        if not reaction.wants_recorded:
            return _given(reaction, reaction.function(event))
        stream, version = place_of(record)
        position = Position.at(record.partition, record.offset + 1)
        recorded = Recorded(event, version, stream, metadata, timestamp_of(record), position)
        return _given(reaction, reaction.function(event, recorded))

    def _outgoing(self, command: Command[Any, Any], cause: Metadata, number: int) -> Outgoing:
        topic, key = inbox_of(command.__to__), key_of(command)
        value = self._host.serde.encode(command)
        size = len(value) + OVERHEAD_BYTES
        if size > self._routes.message_max_bytes:
            raise MessageTooLarge(topic, size_bytes=size, limit_bytes=self._routes.message_max_bytes)
        metadata = Metadata(
            id=derived_id(f"{self._reactor}/{cause.id}", number), type=command.__type_name__,
            correlation=cause.correlation, causation=cause.id,
        )  # fmt: skip
        headers = (("meta", metadata.encode()),)
        return topic, self._routes.partition(topic, key), key.encode(), value, headers, self._host.clock.now_ms()


def _given(reaction: Reaction, commands: Any) -> list[Command[Any, Any]]:
    """What a handler yields, or returns as a list. A command alone is iterable too: by its fields."""
    if commands is None or isinstance(commands, Message):
        name, given = reaction.function.__qualname__, type(commands).__name__
        raise TypeError(f"{name} returned one {given}: yield each command, or return a list of them")
    return list(commands)
