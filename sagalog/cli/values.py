"""Values of commands that are checked before anything is opened: a wrong one is a mistake of who asks, and said so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeAlias

from cyclopts import Parameter
from cyclopts.validators import Number

from eventstore.processor.topics import check_store_name
from eventstore.streams import Position, check_stream_id, utf8_of
from eventstore.subject_keys import check_subject
from eventstore.subject_keys.masters import check_master_id


def _checked_by(check: Callable[[str], object]) -> Parameter:
    def validate(_: object, value: str | None) -> None:
        if value is not None:
            check(value)

    return Parameter(validator=validate)


def _check_group_name(name: str) -> None:
    """librdkafka ends the process at a group without a name."""
    if not name:
        raise ValueError("a group has a name, such as shop or shop.mailer; `sagalog group list` shows those that exist")


def _check_topic_name(name: str) -> None:
    if not name:
        raise ValueError("a topic has a name, such as orders.events; `sagalog topics` shows those that exist")


def _check_prefix(text: str) -> None:
    utf8_of("prefix", text)


def _check_stream_ids(_: object, streams: tuple[str, ...]) -> None:
    for stream in streams:
        check_stream_id(stream)


MasterId: TypeAlias = Annotated[str | None, _checked_by(check_master_id)]
GroupName: TypeAlias = Annotated[str, _checked_by(_check_group_name)]
StoreName: TypeAlias = Annotated[str, _checked_by(check_store_name)]
StreamId: TypeAlias = Annotated[str, _checked_by(check_stream_id)]
StreamIds: TypeAlias = Annotated[tuple[str, ...], Parameter(name="--stream", validator=_check_stream_ids)]
Prefix: TypeAlias = Annotated[str, _checked_by(_check_prefix)]
TopicName: TypeAlias = Annotated[str, _checked_by(_check_topic_name)]
Count: TypeAlias = Annotated[int, Parameter(validator=Number(gte=0))]
PerSecond: TypeAlias = Annotated[int, Parameter(validator=Number(gte=1))]
Port: TypeAlias = Annotated[int, Parameter(validator=Number(gte=0, lte=65_535))]
PositionText: TypeAlias = Annotated[str | None, _checked_by(Position.parse)]
Subject: TypeAlias = Annotated[str, _checked_by(check_subject)]
