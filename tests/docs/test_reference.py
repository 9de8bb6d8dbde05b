"""The reference names what can be imported, and nothing else."""

from __future__ import annotations

import re

import sagalog
from tests.docs.pages import ROOT

_ROW = re.compile(r"^\| `(\w+)` \| (.+) \|$", re.MULTILINE)


def test_the_reference_lists_the_public_names() -> None:
    """Each name of `sagalog.__all__` once, with a line that says what it is."""
    rows = _ROW.findall((ROOT / "docs" / "reference.md").read_text())

    assert sorted(name for name, _ in rows) == sorted(sagalog.__all__)
    assert all(len(line) > 10 for _, line in rows)


def test_public_names_are_sorted_and_there() -> None:
    """`__all__` is what people read first: constants, classes, functions, each by name."""
    assert sagalog.__all__ == sorted(sagalog.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name))
    assert [name for name in sagalog.__all__ if not hasattr(sagalog, name)] == []
