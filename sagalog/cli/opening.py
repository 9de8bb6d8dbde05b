"""Open the log that a command looks at. Such commands make none: only services do."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated, TypeAlias

from cyclopts import Parameter

from eventstore.log import Log, open_log

LogUrl: TypeAlias = Annotated[str, Parameter(name="--log", env_var="SAGALOG_LOG")]


@contextmanager
def opened(url: str) -> Generator[Log]:
    """The log, closed afterwards.

    Raises:
        LogMissing: there is none in that folder.
        LogError: it cannot be opened.
    """
    log = open_log(url, must_exist=True)
    try:
        yield log
    finally:
        log.close()
