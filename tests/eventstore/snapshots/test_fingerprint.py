"""S6: what makes another fingerprint, and what does not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from eventstore.aggregate import processor_of

ROOT = Path(__file__).parents[3]

BASE = '''
from __future__ import annotations

from enum import Enum
from typing import Any, Mapping

from pydantic import BaseModel

from eventstore.aggregate import Aggregate, decide, evolve
from eventstore.processor.snapshots import Snapshots
from schemas import Command, Event

FEE = 3
KNOWN = frozenset({"EUR", "USD", "CHF", "GBP", "JPY"})


class Kind(Enum):
    CASH = "cash"


class Item(BaseModel):
    cents: int = 0


class OldPaid(BaseModel):
    cents: int


class Paid(Event, name="paid", version=3):
    cents: int
    currency: str = "EUR"


@Paid.upcast(from_version=1)
def _(old: Mapping[str, Any]) -> Mapping[str, object]:
    return {"cents": old["cents"]}


@Paid.upcast(from_version=2)
def _(old: OldPaid) -> Mapping[str, object]:
    return {"cents": old.cents}


class Pay(Command[None], to="till", key="till"):
    till: str


def net(cents: int) -> int:
    return rounded(cents) - FEE


def rounded(cents: int) -> int:
    return cents // 5 * 5


class Till(Aggregate[Paid], name="till", snapshot=Snapshots(every=5)):
    """Money."""

    total: int = 0
    items: list[Item] = []
    seen: set[str] = {"a", "b", "c", "d"}

    @decide
    def pay(self, command: Pay) -> None:
        self.record(Paid(cents=1))

    @evolve
    def paid(self, event: Paid) -> None:
        if event.currency in KNOWN or event.currency in {"AUD", "NZD", "CAD"}:
            self.take(net(event.cents))

    def take(self, cents: int) -> None:
        """Add."""
        self.total += cents
'''

NOTICED = {
    "the handler": ("self.take(net(event.cents))", "self.take(net(event.cents) + 1)"),
    "a literal of the handler": ('"AUD", ', '"AUD", "SEK", '),
    "a method that it calls": ("self.total += cents", "self.total += cents * 2"),
    "a function that it calls": ("rounded(cents) - FEE", "rounded(cents)"),
    "a function that this one calls": ("// 5 * 5", "// 10 * 10"),
    "a constant": ("FEE = 3", "FEE = 4"),
    "a set of constants": ('"CHF", ', ""),
    "a field of the state": ("    total: int = 0", "    total: int = 0\n    more: int = 0"),
    "the type of a field": ("total: int = 0", "total: float = 0"),
    "a default of the state": ("total: int = 0", "total: int = 1"),
    "a model inside the state": ("cents: int = 0", "cents: str = ''"),
    "a default of an event's field": ('currency: str = "EUR"', 'currency: str = "USD"'),
    "the version of an event": ("version=3", "version=4"),
    "an upcaster": ('{"cents": old["cents"]}', '{"cents": old["cents"] * 100}'),
    "a later upcaster": ('{"cents": old.cents}', '{"cents": old.cents + 1}'),
    "the model of an upcaster": ("OldPaid(BaseModel):\n    cents: int", "OldPaid(BaseModel):\n    cents: float"),
    "the version": ("Snapshots(every=5)", "Snapshots(every=5, version=2)"),
}  # fmt: skip
NOT_NOTICED = {
    "a comment": ("self.total += cents", "self.total += cents  # more"),
    "documentation": ('"""Add."""', '"""Add the cents."""'),
    "lines": ("FEE = 3", "\n\n\nFEE = 3"),
    "documentation of the state": ('"""Money."""', '"""Money, and more."""'),
    "a decision": ("Paid(cents=1)", "Paid(cents=2)"),
    "when they are taken": ("every=5", "every=7"),
    "the name of a variable": ("self, event: Paid", "self,  event: Paid"),
}


@pytest.fixture
def fingerprint(unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], bytes]:
    """Of the aggregate of a module with this source."""

    def taken(source: str) -> bytes:
        import types

        module = types.ModuleType("tills.model")
        monkeypatch.setitem(sys.modules, "tills.model", module)
        exec(compile(source, "tills/model.py", "exec", dont_inherit=True), vars(module))
        return _fingerprint(vars(module))

    return taken


def _fingerprint(names: Mapping[str, Any]) -> bytes:
    form = processor_of(names["Till"]).snapshots
    assert form is not None
    return form.fingerprint


@pytest.mark.parametrize("change", NOTICED.values(), ids=NOTICED)
def test_a_change_is_noticed(fingerprint: Callable[[str], bytes], change: tuple[str, str]) -> None:
    """Snapshots of the code before it are not used. That an upcaster is among them: what it gives is folded (S10)."""
    assert BASE.count(change[0]) == 1

    assert fingerprint(BASE.replace(*change)) != fingerprint(BASE)


@pytest.mark.parametrize("change", NOT_NOTICED.values(), ids=NOT_NOTICED)
def test_what_cannot_matter_is_not(fingerprint: Callable[[str], bytes], change: tuple[str, str]) -> None:
    """No snapshot is lost by it."""
    assert BASE.count(change[0]) == 1

    assert fingerprint(BASE.replace(*change)) == fingerprint(BASE)


def test_it_is_the_same_in_every_process(fingerprint: Callable[[str], bytes], tmp_path: Path) -> None:
    """Python orders sets differently in each: that does not count."""
    (tmp_path / "tills").mkdir()
    (tmp_path / "tills" / "model.py").write_text(BASE)
    script = "from tills.model import Till; print(Till.__processor__.snapshots.fingerprint.hex())"
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}", "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2", "3")
    }

    assert found == {fingerprint(BASE).hex()}
