"""`sagalog keys`: master keys of personal data, and subjects to forget."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing, contextmanager
from datetime import UTC, datetime

from cyclopts import App, CycloptsError

from eventstore.log.port import Log
from eventstore.subject_keys import LocalMasterKeys, SubjectKeys
from eventstore.subject_keys.following import Erasing
from eventstore.subject_keys.masters import VARIABLE
from eventstore.subject_keys.masters import generate as generated
from eventstore.subject_keys.ring import TOPIC
from sagalog.cli.opening import Json, LogUrl, opened
from sagalog.cli.output import show
from sagalog.cli.values import MasterId, Subject

_EXAMPLES = """\
Examples:
  export SAGALOG_MASTER_KEY=$(sagalog keys generate)
  sagalog keys rotate --log kafka://localhost:9092
  sagalog keys forget customer-17 --log kafka://localhost:9092
"""
keys = App(name="keys", help="Make and rotate master keys of personal data; forget a subject.", help_epilogue=_EXAMPLES)


@keys.command
def generate(*, id: MasterId = None, json: Json = False) -> None:
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
    """Wrap the keys of all subjects by the first master key of SAGALOG_MASTER_KEY. The others are not needed then.

    Keys that a service's own MasterKeys wraps are rotated by `await service.rotate_keys()` in that service.
    """
    count = 0
    with opened(log) as found:
        if TOPIC in found.describe([TOPIC]):  # whoever rotates makes none
            _check_master()
            with _keys(found) as held:
                count = held.rewrap()
    show({"wrapped": count}, f"{count} keys wrapped anew", json=json)


@keys.command
def forget(subject: Subject, /, *, log: LogUrl, json: Json = False) -> None:
    """Destroy the keys of a subject: its personal data can be read by nobody any more. There is no way back.

    Of a subject that has no keys yet, nothing personal is recorded from now on.

    Parameters
    ----------
    subject
        Whom to forget, such as customer-17.
    """
    with opened(log) as found, _keys(found) as held:
        held.forget(subject)
    show({"subject": subject, "forgotten": True}, f"{subject} is forgotten", json=json)


@contextmanager
def _keys(log: Log) -> Generator[SubjectKeys]:
    """The keys of a log. What was superseded is erased afterwards, where the log can."""
    with closing(SubjectKeys(log, LocalMasterKeys.from_environment())) as held:
        held.open()
        yield held
    if isinstance(log, Erasing):
        log.erase(TOPIC)


def _check_master() -> None:
    if not LocalMasterKeys.from_environment():
        raise CycloptsError(
            msg=f"{VARIABLE} is not set: set it to the new master key and the old ones, separated by commas; keys that "
            "a service's own MasterKeys wraps are rotated in it, by `await service.rotate_keys()`."
        )
