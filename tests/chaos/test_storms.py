"""Storm after storm for MINUTES (5), the first one with SEED (a random one): `make chaos MINUTES=30 SEED=7`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.__main__ import main

MINUTES = float(os.environ.get("MINUTES", "5"))
SEED = os.environ.get("SEED")


@pytest.mark.timeout(MINUTES * 60 + 600)
def test_storms_leave_the_books_right(tmp_path: Path) -> None:
    """Whatever fails at whatever moment: every party is rebooked or left no trace, no stream is forked."""
    arguments = ["--minutes", str(MINUTES), "--folder", str(tmp_path), *(["--seed", SEED] if SEED else [])]

    assert main(arguments) == 0
