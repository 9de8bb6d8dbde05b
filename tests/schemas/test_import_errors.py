"""What is declared wrongly is refused when the module is imported, with the line to change."""

from __future__ import annotations

import importlib.util
import sys
import textwrap
from pathlib import Path
from types import ModuleType

import pytest

from schemas import DefinitionError

HEAD = """
from typing import TYPE_CHECKING, Any
from schemas import Command, Event, Message, Refusal, Reply, Undo

class Done(Reply):
    ref: str

class Do(Command[Done], to="a", key="id"):
    id: str

class Placed(Event, name="placed", version=3):
    id: str
"""

CASES = {
    "misspelt keyword": ('class E(Event, nmae="e"):  # here\n    x: int', "did you mean name=?"),
    "misspelt keyword of a command": (
        'class E(\n    Command[None],\n    too="a",\n    key="id",\n):  # the class begins above\n    id: str',
        "did you mean to=?",
    ),
    "keyword of a command on an event": ('class E(Event, to="x"):  # here\n    x: int', "it takes name=, version="),
    "upper-case name": ('class E(Event, name="Order"):  # here\n    x: int', "lower-case words"),
    "name with a trailing dot": ('class E(Event, name="order."):  # here\n    x: int', "lower-case words"),
    "empty name": ('class E(Event, name=""):  # here\n    x: int', "lower-case words"),
    "name of an Undo": ('class E(Event, name="undo.order"):  # here\n    x: int', "those of Undo"),
    "name that Avro knows": ('class E(Event, name="record"):  # here\n    x: int', "a word of Avro"),
    "version 0": ("class E(Event, version=0):  # here\n    x: int", "version=0"),
    "version as text": ('class E(Event, version="1"):  # here\n    x: int', "version='1'"),
    "no destination": ("class E(Command[None]):  # here\n    id: str", 'add to="service"'),
    "no key": ('class E(Command[None], to="a"):  # here\n    id: str', 'key="field"'),
    "key that is no field": ('class E(Command[None], to="a", key="idd"):  # here\n    id: str', "none of id"),
    "destination with a space": (
        'class E(Command[None], to="a b", key="id"):  # here\n    id: str',
        "to= names nobody who takes commands",
    ),
    "no reply": ('class E(Command, to="a", key="id"):  # here\n    id: str', "declares no reply"),
    "key that may be None": (
        'class E(Command[None], to="a", key="id"):\n    other: int\n    id: str | None  # here',
        "may be None",
    ),
    "not frozen": ('class E(Event):  # here\n    model_config = {"frozen": False}\n    x: int', "frozen=True"),
    "extra fields": ('class E(Event):  # here\n    model_config = {"extra": "allow"}\n    x: int', "extra='forbid'"),
    "undo of an undo": ("X = Undo[Do]\nY = Undo[X]  # here", "cannot be undone"),
    "undo of a union": ("X = Undo[Do | Do | None]  # here", "Undo[A] | Undo[B]"),
    "undo of an event": ("X = Undo[Placed]  # here", "Undo takes one command"),
    "upcast of this version": (
        "@Placed.upcast(from_version=3)  # here\ndef up(old): return old",
        "give an earlier one",
    ),
    "upcast of version 0": ("@Placed.upcast(from_version=0)  # here\ndef up(old): return old", "give an earlier one"),
    "two upcasts of a version": (
        "@Placed.upcast(from_version=1)\ndef up(old): ...\n\n@Placed.upcast(from_version=1)  # here\ndef up2(old): ...",
        "remove one",
    ),
    "upcast without parameter": ("@Placed.upcast(from_version=1)  # here\ndef up(): return {}", "takes one parameter"),
    "upcast of an unknown type": (
        'if TYPE_CHECKING:\n    from x import Old\n@Placed.upcast(from_version=1)  # here\ndef up(old: "Old"): ...',
        "outside `if TYPE_CHECKING:`",
    ),
}  # fmt: skip


def load(folder: Path, source: str) -> ModuleType:
    """Import a module of this source."""
    file = folder / "declared.py"
    file.write_text(source)
    spec = importlib.util.spec_from_file_location("declared", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["declared"] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules["declared"]
    return module


@pytest.mark.parametrize("future", [False, True], ids=["", "future annotations"])
@pytest.mark.parametrize("place", ["module", "function"])
@pytest.mark.parametrize("case", CASES)
def test_names_the_line(tmp_path: Path, case: str, place: str, future: bool) -> None:
    """Each refusal begins with file and line, at module level and inside a function, annotations evaluated or not."""
    body, words = CASES[case]
    if place == "function":
        body = "def local():\n" + textwrap.indent(body, "    ") + "\n\nlocal()"
    source = ("from __future__ import annotations\n" if future else "") + HEAD + body + "\n"
    marked = "# here" if "# here" in body else "class E("
    line = source[: source.index(marked)].count("\n") + 1

    with pytest.raises(DefinitionError) as refused:
        load(tmp_path, source)

    assert str(refused.value).startswith(f"{tmp_path / 'declared.py'}:{line}: ")
    assert words in str(refused.value)
    assert refused.value.line.number == line


def test_accepts_what_is_right(tmp_path: Path) -> None:
    """The head that the cases share is fine."""
    assert load(tmp_path, HEAD).Do.__to__ == "a"
