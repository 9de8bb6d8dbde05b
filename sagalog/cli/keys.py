"""`sagalog keys`: master keys of personal data, and subjects to forget."""

from __future__ import annotations

from datetime import UTC, datetime

from cyclopts import App

from eventstore.log.port import Log
from eventstore.subject_keys import LocalMasterKeys, SubjectKeys
from eventstore.subject_keys.following import Erasing
from eventstore.subject_keys.masters import generate as generated
from eventstore.subject_keys.ring import TOPIC
from sagalog.cli.opening import Json, LogUrl, opened
from sagalog.cli.output import show
from sagalog.cli.values import Subject

_EXAMPLES = """\
Examples:
  export SAGALOG_MASTER_KEY=$(sagalog keys generate)
  sagalog keys rotate --log kafka://localhost:9092
  sagalog keys forget customer-17 --log kafka://localhost:9092
"""
keys = App(name="keys", help="Make and rotate master keys of personal data; forget a subject.", help_epilogue=_EXAMPLES)


@keys.command
def generate(*, id: str | None = None, json: Json = False) -> None:
    """Print a new master key, as the variable SAGALOG_MASTER_KEY takes it. It is kept nowhere.

    Parameters
    ----------
    id
        What names it; by default the time.
    """
    name = id or f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    key = generated(name)
    show({"id": name, "key": key}, key, json=json)


@keys.command
def rotate(*, log: LogUrl, json: Json = False) -> None:
    """Wrap the keys of all subjects by the first master key of SAGALOG_MASTER_KEY. The others are not needed then."""
    with opened(log) as found:
        held = _keys(found)
        count = 0 if held is None else held.rewrap()
        if held is not None:
            held.close()
    show({"wrapped": count}, f"{count} keys wrapped anew", json=json)


@keys.command
def forget(subject: Subject, *, log: LogUrl, json: Json = False) -> None:
    """Destroy the keys of a subject: its personal data can be read by nobody any more. There is no way back.

    Parameters
    ----------
    subject
        Whom to forget, such as customer-17.
    """
    with opened(log) as found:
        held = _keys(found)
        if held is not None:
            held.forget(subject)
            held.close()
            if isinstance(found, Erasing):
                found.erase(TOPIC)
    done = held is not None
    show({"subject": subject, "forgotten": done}, _told(subject, done), json=json)


def _told(subject: str, done: bool) -> str:
    return f"{subject} is forgotten" if done else "this log holds no keys, so no personal data: nothing to forget"


def _keys(log: Log) -> SubjectKeys | None:
    """The keys of a log; None if it has none, for whoever looks makes none."""
    if TOPIC not in log.describe([TOPIC]):
        return None
    held = SubjectKeys(log, LocalMasterKeys.from_environment())
    held.open()
    return held
