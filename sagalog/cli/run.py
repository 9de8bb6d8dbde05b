"""`sagalog run`: host a service in this process, or in several that are watched over."""

from __future__ import annotations

import asyncio
import logging
import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from consumers.errors import LogNotGiven
from consumers.process import DRAIN, LOG_VARIABLE, SLOT_VARIABLE
from consumers.service import Service
from consumers.supervise import own_command, stop_with_supervisor, supervise
from sagalog.cli.loading import load_service
from sagalog.cli.output import show
from sagalog.logs import configure
from schemas.names import LONGEST_SLOT, unfit

STOP_MARGIN = timedelta(seconds=10)
"""How much longer than its drain a process has to end, before it is killed."""


class NotRunnable(Exception):
    """The service cannot be run as it was asked. The message says how it can."""


def run(
    service: str,
    /,
    *,
    log: str | None = None,
    processes: int = 1,
    state: Path | None = None,
    http: str | None = None,
    only: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = (),
    drain: float = DRAIN.total_seconds(),
    standby: bool = False,
    log_format: Literal["text", "json"] = "text",
    verbose: bool = False,
) -> int:
    """Run a service until SIGTERM or Ctrl-C; then it finishes what is under way and leaves.

    Says in one line on standard output when it serves everything it was assigned. What it logs goes to standard error.

    Parameters
    ----------
    service
        MODULE:SERVICE, such as shop.app:service. The module is found from the working directory too.
    log
        The log's URL. Without it, what the service says, or the variable SAGALOG_LOG.
    processes
        How many processes share the work. One that dies is started again. Needs a kafka:// log.
    state
        A folder for what can be rebuilt from the log; each process has its own folder in it.
    http
        HOST:PORT of /live, /ready, /metrics and tables. Several processes take the ports from there on; 0 is any free
        one.
    only
        Host these components and no others.
    drain
        How many seconds what is under way may take when it stops.
    standby
        Also follow what other processes of the service own, to take it over in a moment. Each process then reads and
        keeps everything.
    log_format
        Of what is logged.
    verbose
        Log more.
    """
    slot = os.environ.get(SLOT_VARIABLE, "0")
    level = logging.DEBUG if verbose else logging.INFO
    configure(level, format=log_format, slot=slot if processes == 1 else None)  # a supervisor has none
    loaded = load_service(service)
    url = _url(loaded, log)
    if standby:
        loaded.configure(standby=True)
    if processes == 1:
        _configured(loaded, url, state, slot, http, only, drain)
        stop_with_supervisor()
        asyncio.run(loaded.serve(ready=lambda: _tell(loaded, slot, is_json=log_format == "json")))
        return 0
    _check_processes(processes, url)
    _configured(loaded, url, state, slot, http, only, drain)  # so that a mistake is told once, here
    options = ["--log", url, "--drain", str(drain), "--log-format", log_format]
    options += ["--state", str(state)] if state is not None else []
    options += ["--verbose"] if verbose else []
    options += ["--standby"] if standby else []
    options += ["--only", *only] if only else []

    def command(number: int) -> list[str]:
        return own_command("run", service, *options, *(["--http", _port(http, number)] if http is not None else []))

    return supervise(processes, command, drain=timedelta(seconds=drain) + STOP_MARGIN)


def _url(service: Service, log: str | None) -> str:
    url = log or service.log or os.environ.get(LOG_VARIABLE)
    if not url:
        raise LogNotGiven(service.name, f"--log or the variable {LOG_VARIABLE}")
    return url


def _check_processes(processes: int, url: str) -> None:
    if processes < 1:
        raise NotRunnable(f"--processes {processes} runs nothing: give 1 or more")
    engine = url.partition(":")[0]
    if engine in ("embedded", "memory"):
        raise NotRunnable(
            f"--processes {processes} needs a log that processes share, and {engine}:// belongs to one: give "
            f"--log kafka://host:9092 (`sagalog broker` starts a Kafka here), or run one process"
        )


def _configured(
    service: Service, url: str, state: Path | None, slot: str, http: str | None, only: tuple[str, ...], drain: float
) -> None:
    if why := unfit(slot, "web-1", longest=LONGEST_SLOT):
        raise NotRunnable(f"the variable {SLOT_VARIABLE} names no slot: {why}")
    folder = None if state is None else str(state / service.name / slot)
    service.configure(log=url, state=folder, slot=slot, http=http, only=only, drain=timedelta(seconds=drain))


def _port(http: str, number: int) -> str:
    """Each process its own: the ports from the given one on, or any free one."""
    host, separator, port = http.rpartition(":")
    if not separator or not port.isdecimal():
        raise NotRunnable(f"{http!r} is no host:port: give for example 127.0.0.1:8080")
    return f"{host}:{int(port) + number if int(port) else 0}"


def _tell(service: Service, slot: str, *, is_json: bool) -> None:
    facts = {"ready": service.name, "slot": slot, "address": service.address, "pid": os.getpid()}
    text = f"{service.name} is ready: slot {slot}, http://{service.address}/ready"
    show(facts, text, json=is_json)
