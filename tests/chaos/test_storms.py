"""Storm after storm for MINUTES (5), the first one with SEED (a random one): `make chaos MINUTES=30 SEED=7`.

NODES=1 or NODES=3 has all storms over streams on so many nodes, ONLY=streams or ONLY=airline has storms of one kind
alone.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.__main__ import main

MINUTES = float(os.environ.get("MINUTES", "5"))
OPTIONS = {"--seed": "SEED", "--nodes": "NODES", "--only": "ONLY"}


@pytest.mark.timeout(MINUTES * 60 + 600)
def test_storms_leave_the_books_right(tmp_path: Path) -> None:
    """Whatever fails at whatever moment: every party is rebooked or left no trace, streams keep their promises."""
    given = [text for option, name in OPTIONS.items() if (value := os.environ.get(name)) for text in (option, value)]
    arguments = ["--minutes", str(MINUTES), "--folder", str(tmp_path), *given]

    assert main(arguments) == 0
