"""The page of commands, variables and metrics holds all that there are, and no other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cyclopts import App

from consumers import Reactor, Service, Table, View, Worker, on
from eventstore.component import Component
from eventstore.hosting import Hosting
from eventstore.subject_keys.masters import VARIABLE, generate
from sagalog.cli import application
from schemas import Personal
from tests.docs.pages import ROOT
from tests.eventstore.shredded import Customer, CustomerRegistered, Names, Register, store

PAGE = (ROOT / "docs" / "commands.md").read_text()
PACKAGES = ("schemas", "eventstore", "consumers", "sagas", "sagalog")
INTERNAL = {"SAGALOG_SUPERVISOR"}
SOMETIMES = {"breaker_open", "log_unreachable", "standby_lag"}
"""Metrics of what this service has not: a breaker, a log that is away, partitions that others own."""
acting, reacting = Worker("acting", topics=[Customer]), Reactor("reacting", topics=[Customer])


def test_each_command_is_there_with_what_it_takes() -> None:
    """In the order of `--help`; what it does is said as there."""
    wanted = [
        f"| `sagalog {' '.join(path)}` | {' '.join(_takes(command))} | {_says(command)} |"
        for path, command in _commands(application())
    ]

    assert [line for line in PAGE.splitlines() if line.startswith("| `sagalog ")] == wanted


def test_each_variable_is_there() -> None:
    """Those that a process reads."""
    read = {name for package in PACKAGES for path in (ROOT / package).rglob("*.py") for name in _variables(path)}

    assert set(re.findall(r"^\| `(SAGALOG_[A-Z_]+)` \|", PAGE, re.MULTILINE)) == read - INTERNAL


@acting.on
async def _acted(event: CustomerRegistered) -> None:
    """Nothing."""


@reacting.on
def _reacted(event: CustomerRegistered) -> Iterator[Register]:
    yield from ()


class Rekeyed(View, topics=[Customer], by=lambda event: event.customer_id):
    """Nothing."""

    rows: Table[str, int]

    @on
    def registered(self, event: CustomerRegistered) -> None:
        """Nothing."""


async def test_each_metric_is_there(monkeypatch: pytest.MonkeyPatch, unique: Callable[[str], str]) -> None:
    """Of a service that has one loop of each kind and has done something."""
    monkeypatch.setenv(VARIABLE, generate("first"))
    parts: list[Component] = [Customer, store(unique("store")), Names, Rekeyed, acting, reacting]
    url = f"memory://{unique('log')}"
    async with Service("metrics", components=parts, log=url, state="memory://", standby=True) as service:
        await service.ready()
        await service.ask(Register(customer_id="a", name=Personal("Ada")))
        runtime = service.runtime
        assert isinstance(runtime, Hosting)
        found = {sample for loop in runtime.metrics().values() for sample in loop}

    rows = [line for line in PAGE.partition("## Metrics")[2].splitlines() if line.startswith("| `")]
    there = {name for line in rows for name in re.findall(r"`(\w+)`", line.split(" | ")[0])}
    assert there - SOMETIMES == {re.sub(r"(_bucket)?\{.*|(?<=seconds)_(sum|count)$", "", sample) for sample in found}


def _commands(app: App, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], App]]:
    for name in sorted(each for each in app if not each.startswith("-")):
        command = app[name]
        if command.default_command is not None:
            yield (*path, name), command
        yield from _commands(command, (*path, name))


def _takes(command: App) -> Iterator[str]:
    """Arguments as `NAME`, options as `--name`; those that need not be given in brackets."""
    for each in command.assemble_argument_collection():
        name = each.names[0]
        if name != "*":
            yield f"`{name}`" if each.required else f"[`{name}`]"


def _says(command: App) -> str:
    return re.split(r"(?<=\.)\s", command.help.strip())[0].replace("\n", " ")


def _variables(path: Path) -> set[str]:
    return set(re.findall(r"SAGALOG_[A-Z_]+[A-Z]", path.read_text()))
