"""Open the log that a command looks at, and the options that many commands have. Such commands make no log: only
services do.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated, TypeAlias

from cyclopts import Parameter

from eventstore.log import Log, open_log
from sagalog.logs import configure_unless_done

_LOG = Parameter(name="--log", env_var="SAGALOG_LOG", help="The log's URL.")
LogUrl: TypeAlias = Annotated[str, _LOG]
AnyLogUrl: TypeAlias = Annotated[str | None, _LOG]
RegistryUrl: TypeAlias = Annotated[
    str | None,
    Parameter(name="--registry", env_var="SAGALOG_REGISTRY", help="The URL of a registry, instead of the log's own."),
]
Json: TypeAlias = Annotated[bool, Parameter(help="Print one JSON object.")]


@contextmanager
def opened(url: str) -> Generator[Log]:
    """The log, closed afterwards.

    Raises:
        LogMissing: there is none in that folder.
        LogError: it cannot be opened.
    """
    configure_unless_done()  # or what is logged would come on standard output, amid the answer
    log = open_log(url, must_exist=True)
    try:
        yield log
    finally:
        log.close()
