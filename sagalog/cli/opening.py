"""Open the log that a command looks at, and the options that many commands have. Such commands make no log: only
services do.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated, TypeAlias

from cyclopts import Parameter

from eventstore.log import Log, open_log
from eventstore.log.memory import is_shared
from sagalog.logs import configure_unless_done

_LOG = Parameter(name="--log", env_var="SAGALOG_LOG", help="The log's URL.")
LogUrl: TypeAlias = Annotated[str, _LOG]
AnyLogUrl: TypeAlias = Annotated[str | None, _LOG]
RegistryUrl: TypeAlias = Annotated[
    str | None,
    Parameter(name="--registry", env_var="SAGALOG_REGISTRY", help="The URL of a registry, instead of the log's own."),
]
Json: TypeAlias = Annotated[bool, Parameter(help="Print one JSON object.")]


class LogNotKept(Exception):
    """The log would be gone when the command ends. The message says what to give."""


def check_kept(url: str) -> None:
    """Refuse a log in memory, unless this process has it already: no other can, and it ends with the command.

    Raises:
        LogNotKept: it is one.
    """
    if url.startswith("memory://") and not is_shared(url.removeprefix("memory://").partition("?")[0]):
        raise LogNotKept(
            f"{url} is in the memory of one process, so it is empty here and gone when this command ends: give a log "
            "that is kept, such as kafka://localhost:9092 or embedded:///var/lib/shop"
        )


@contextmanager
def opened(url: str) -> Generator[Log]:
    """The log, closed afterwards.

    Raises:
        LogMissing: there is none in that folder.
        LogNotKept: it is in memory.
        LogError: it cannot be opened.
    """
    configure_unless_done()  # or what is logged would come on standard output, amid the answer
    check_kept(url)
    log = open_log(url, must_exist=True)
    try:
        yield log
    finally:
        log.close()
