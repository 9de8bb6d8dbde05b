"""Tell where the settings of topics differ from what is wanted.

A topic's settings are given when it is made, and anybody with the permission can change them; a later version of a
program may want others. Nothing is changed by itself: settings of a topic are an operator's decision. What is wanted is
what the manifest says, that is, what the last service that started was made for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import structlog

from eventstore.log.errors import LogError, NotAuthorized
from eventstore.log.port import Log
from eventstore.log.records import is_same_setting

log = structlog.get_logger()

MENDING = "sagalog topics check --fix"
"""The command that gives topics the settings that are wanted."""


FIRST = 3
"""So many of what differs stand in the warning."""


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


def mend(log_: Log, drifts: Iterable[Drift]) -> dict[str, LogError]:
    """Give topics the settings that are wanted. Returns why the log refuses those that stay as they are, by topic."""
    settings: dict[str, dict[str, str]] = {}
    for drift in drifts:
        settings.setdefault(drift.topic, {})[drift.setting] = drift.wanted
    refused: dict[str, LogError] = {}
    for topic, wanted in settings.items():
        try:
            log_.configure(topic, wanted)
        except LogError as error:
            refused[topic] = error
    return refused


def warn_of_drift(log_: Log, names: Iterable[str]) -> None:
    """Say in the program's log what differs: once as a warning, with the first few, and each as information."""
    try:
        drifts = drift_of(log_, names)
    except NotAuthorized as error:
        log.warning("topics_not_checked", error=str(error))
        return
    for drift in drifts:
        log.info("topic_drifted", **drift._asdict())
    if drifts:
        first = [f"{drift.topic}: {drift.setting}={drift.actual}, wanted {drift.wanted}" for drift in drifts[:FIRST]]
        log.warning("topics_drifted", settings=len(drifts), first=first, mend=MENDING)
