"""The table of errors holds every error of ours, and no other, and says what they say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

from tests.docs.pages import ROOT

PACKAGES = ("schemas", "eventstore", "consumers", "sagas", "sagalog")
ROOTS = frozenset({"SchemaError", "DefinitionError", "EventStoreError", "ConsumerError", "SagaError", "BrokerError"})
BY_USERS = {"RetryAfter"}
"""Raised in handlers."""
_ROW = re.compile(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", re.MULTILINE)
_FREE = "—"


def test_every_error_is_in_the_table_and_no_other() -> None:
    """Leaves name a situation; parents, which are never raised, end in `Error`."""
    raised = {name for name in _errors() if not name.endswith("Error")} | {"DefinitionError"}

    assert {name for name, _, _ in _rows()} == raised


def test_each_error_is_in_it_once() -> None:
    """Nobody has to look twice."""
    names = [name for name, _, _ in _rows()]

    assert sorted(names) == sorted(set(names))


def test_the_messages_are_those_of_the_code() -> None:
    """`…` stands for what differs; the table may leave out the end."""
    for name, says, _ in _rows():
        if says != _FREE:
            assert _flat(says.strip("`")) in _flat(_message(_errors()[name])), name


def test_each_error_is_made_somewhere() -> None:
    """What nobody raises is no error, and a row about it no help. Parents and what users raise are."""
    made: set[str] = set()
    for tree in _trees():
        for node in ast.walk(tree):
            named = node.func if isinstance(node, ast.Call) else node.exc if isinstance(node, ast.Raise) else None
            made |= {named.id} if isinstance(named, ast.Name) else set[str]()

    assert {name for name in _errors() if not name.endswith("Error")} - made == BY_USERS


def test_each_error_has_a_next_action() -> None:
    """That is what the table is for."""
    assert [name for name, _, action in _rows() if len(action) < 10] == []


def _rows() -> list[tuple[str, str, str]]:
    return _ROW.findall((ROOT / "docs" / "errors.md").read_text())


@cache
def _errors() -> dict[str, ast.ClassDef]:
    """The classes below our roots, by name."""
    classes = {each.name: each for each in _classes()}
    found = {name: node for name, node in classes.items() if name in ROOTS}
    while True:
        more = {name: node for name, node in classes.items() if name not in found and _bases(node) & found.keys()}
        if not more:
            return found
        found |= more


def _classes() -> Iterator[ast.ClassDef]:
    for tree in _trees():
        yield from (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def _trees() -> Iterator[ast.Module]:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            yield ast.parse(path.read_text())


def _bases(node: ast.ClassDef) -> set[str]:
    return {base.id for base in node.bases if isinstance(base, ast.Name)}


def _message(error: ast.ClassDef) -> str:
    """The text that it gives to `Exception.__init__`."""
    for node in ast.walk(error):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "__init__":
            return "".join(_parts(node.args[0]))
    return ""


def _parts(node: ast.expr) -> Iterator[str]:
    for part in node.values if isinstance(node, ast.JoinedStr) else [node]:
        yield str(part.value) if isinstance(part, ast.Constant) else "…"


def _flat(text: str) -> str:
    return re.sub(r"[\s`|…]+", " ", text)
