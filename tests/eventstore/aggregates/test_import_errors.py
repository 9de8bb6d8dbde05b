"""What is refused when a module with an aggregate is imported, each with the line to change."""

import importlib.util
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

import pytest

from schemas.definition import DefinitionError

Load: TypeAlias = Callable[[str], ModuleType]

GOOD = """
from typing import TYPE_CHECKING, Any
from eventstore.aggregate import Aggregate, decide, evolve
from eventstore.decider import Decider, Decision
from schemas import Command, Event, Refusal, Reply

class Received(Event, name="stock.received"):
    quantity: int

class Reserved(Event, name="stock.reserved"):
    quantity: int

class Unrelated(Event, name="unrelated"):
    quantity: int

class StockReserved(Reply):
    left: int

class OutOfStock(Refusal):
    left: int

class Receive(Command[None], to="stock", key="sku"):
    sku: str

class Elsewhere(Command[None], to="hotels", key="sku"):
    sku: str

class ReserveStock(Command[StockReserved], to="stock", key="sku"):
    sku: str

class Stock(Aggregate[Received | Reserved], name="stock"):
    on_hand: int = 0

    @decide
    def receive(self, command: Receive) -> None:
        self.record(Received(quantity=1))

    @decide
    def reserve(self, command: ReserveStock) -> StockReserved:
        return StockReserved(left=1)

    @evolve
    def received(self, event: Received) -> None: ...

    @evolve
    def reserved(self, event: Reserved) -> None: ...

counter = Decider("stock", initial=int, events=[Received, Reserved])

@counter.decide
def receive(state: int, command: Receive) -> Decision[Received, None]:
    yield Received(quantity=1)

@counter.evolve
def received(state: int, event: Received | Reserved) -> int:
    return state

counter.__component__()
"""

CASES = {
    "a handler overwritten by another name": (
        "    def reserved(self, event: Reserved)", "    def received(self, event: Reserved)",
        "    def received(self, event: Reserved)", "overwrites",
    ),
    "an event without an evolve": (
        "\n    @evolve\n    def reserved(self, event: Reserved) -> None: ...\n", "\n",
        "class Stock(", "no @evolve",
    ),
    "an answer that the command does not declare": (
        "-> StockReserved:", "-> StockReserved | OutOfStock:",
        "    @decide\n    def reserve", "may answer OutOfStock, which ReserveStock does not declare",
    ),
    "None that the command does not declare": (
        "-> StockReserved:", "-> StockReserved | None:",
        "    @decide\n    def reserve", "may answer None, which ReserveStock does not declare",
    ),
    "no annotation of the answer": (
        ") -> StockReserved:", "):",
        "    @decide\n    def reserve", "annotate what it answers",
    ),
    "no annotation of the command": (
        "command: ReserveStock", "command",
        "    @decide\n    def reserve", "annotate 'command'",
    ),
    "an annotation that cannot be resolved": (
        "command: ReserveStock", 'command: "ReserveStok"',
        "    @decide\n    def reserve", "'ReserveStok' is not defined",
    ),
    "an annotation of a TYPE_CHECKING import": (
        "command: ReserveStock", 'command: "Fraction"',
        "    @decide\n    def reserve", "TYPE_CHECKING",
    ),
    "two handlers for a command": (
        "command: ReserveStock) -> StockReserved:\n        return StockReserved(left=1)",
        "command: Receive) -> None: ...",
        "    @decide\n    def reserve", "Receive has an @decide in Stock already, on line",
    ),
    "two handlers for an event": (
        "def reserved(self, event: Reserved)", "def reserved(self, event: Reserved | Received)",
        "    @evolve\n    def reserved", "Received has an @evolve in Stock already, on line",
    ),
    "a command for somebody else": (
        "def receive(self, command: Receive)", "def receive(self, command: Receive | Elsewhere)",
        "    @decide\n    def receive", "Elsewhere, which goes to 'hotels', not to 'stock'",
    ),
    "a decision on what is no command": (
        "def receive(self, command: Receive)", "def receive(self, command: Received)",
        "    @decide\n    def receive", "Received, which is no Command",
    ),
    "evolving by what is no event": (
        "def reserved(self, event: Reserved)", "def reserved(self, event: Reserved | Receive)",
        "    @evolve\n    def reserved", "Receive, which is no Event",
    ),
    "evolving by somebody else's event": (
        "def reserved(self, event: Reserved)", "def reserved(self, event: Reserved | Unrelated)",
        "    @evolve\n    def reserved", "Unrelated, which is none of the events of Stock",
    ),
    "a resource": (
        "command: ReserveStock)", "command: ReserveStock, pool: Any)",
        "    @decide\n    def reserve", "takes pool",
    ),
    "an async decision": (
        "    def reserve(", "    async def reserve(",
        "    @decide\n    async def reserve", "is async",
    ),
    "a generator in an aggregate": (
        "        return StockReserved(left=1)", "        yield StockReserved(left=1)",
        "    @decide\n    def reserve", "self.record",
    ),
    "a field without a default": (
        "    on_hand: int = 0", "    on_hand: int",
        "    on_hand: int", "on_hand has no default",
    ),
    "a field that hides the key": (
        "    on_hand: int = 0", '    key: str = ""',
        '    key: str = ""', "rename it",
    ),
    "a misspelt option": (
        'name="stock"):', 'nmae="stock"):',
        "class Stock(", "no option nmae=: it takes name=",
    ),
    "a decider's event without an evolve": (
        "event: Received | Reserved) -> int", "event: Received) -> int",
        "counter = Decider(", "counter.*no @evolve|stock records Reserved but has no @evolve",
    ),
    "a decider that yields what it does not declare": (
        "Decision[Received, None]", "Decision[Unrelated, None]",
        "@counter.decide", "yields Unrelated",
    ),
    "a decider's answer that the command does not declare": (
        "Decision[Received, None]", "Decision[Received, StockReserved]",
        "@counter.decide", "may answer StockReserved, which Receive does not declare",
    ),
}  # fmt: skip


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Import a module of this text."""
    numbers = count()

    def load_text(text: str) -> ModuleType:
        path = tmp_path / f"variant{next(numbers)}.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, path.stem, module)
        spec.loader.exec_module(module)
        return module

    return load_text


def local(text: str) -> str:
    """The same definitions, local to a function."""
    head, body = text.split("class Received", 1)
    indented = "\n".join("    " + line if line else "" for line in ("class Received" + body).splitlines())
    return f"{head}def define() -> None:\n{indented}\n\ndefine()\n"


def future(text: str) -> str:
    """The same definitions, their annotations unevaluated."""
    return "from __future__ import annotations\n" + text


FORMS: dict[str, Callable[[str], str]] = {
    "as it stands": str,
    "future annotations": future,
    "local classes": local,
    "local classes, future annotations": lambda text: future(local(text)),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_right_definitions_are_accepted(load: Load, form: str) -> None:
    """In each form that a module may have."""
    load(FORMS[form](GOOD))


def _line_of_first_class(text: str) -> int:
    return text[: text.index("class Received")].count("\n")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", CASES)
def test_the_wrong_definition_is_refused_with_its_line(load: Load, case: str, form: str) -> None:
    """`file:line: what is wrong`, the line being the one to change."""
    old, new, where, words = CASES[case]
    assert GOOD.count(old) == 1
    text = GOOD.replace(old, new)
    line = text[: text.index(where)].count("\n") + 1
    shift = _line_of_first_class(FORMS[form](text)) - _line_of_first_class(text)

    with pytest.raises(DefinitionError, match=words) as caught:
        load(FORMS[form](text))

    assert caught.value.line.number == line + shift
    assert str(caught.value).startswith(f"{caught.value.line.file}:{line + shift}: ")
