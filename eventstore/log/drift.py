"""Tell where the settings of topics differ from what is wanted.

A topic's settings are given when it is made, and anybody with the permission can change them; a later version of a
program may want others. Nothing is changed by itself: settings of a topic are an operator's decision. What is wanted is
what the manifest says, that is, what the last service that started was made for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import structlog

from eventstore.log.errors import NotAuthorized
from eventstore.log.port import Log
from eventstore.log.records import is_same_setting

log = structlog.get_logger()

MENDING = "sagalog topics check --fix"
"""The command that gives topics the settings that are wanted."""


class Drift(NamedTuple):
    """A setting of a topic that is not as it is wanted."""

    topic: str
    setting: str
    wanted: str
    actual: str | None
    """None: the topic has no such setting."""


def drift_of(log_: Log, names: Iterable[str] | None = None) -> list[Drift]:
    """What differs, of the topics of these names or of all, by topic and setting.

    Raises:
        NotAuthorized: this program may not look at settings.
    """
    described = log_.describe(names)
    actual = log_.configuration(described)
    return [
        Drift(name, setting, value, actual.get(name, {}).get(setting))
        for name, topic in sorted(described.items())
        for setting, value in sorted(topic.wanted.items())
        if not is_same_setting(value, actual.get(name, {}).get(setting))
    ]


def mend(log_: Log, drifts: Iterable[Drift]) -> None:
    """Give topics the settings that are wanted.

    Raises:
        LogError: the log refuses; what was changed before stays changed.
    """
    settings: dict[str, dict[str, str]] = {}
    for drift in drifts:
        settings.setdefault(drift.topic, {})[drift.setting] = drift.wanted
    for topic, wanted in settings.items():
        log_.configure(topic, wanted)


def warn_of_drift(log_: Log, names: Iterable[str]) -> None:
    """Say in the program's log what differs."""
    try:
        drifts = drift_of(log_, names)
    except NotAuthorized as error:
        log.warning("topics_not_checked", error=str(error))
        return
    for drift in drifts:
        log.warning("topic_drifted", **drift._asdict(), mend=MENDING)
