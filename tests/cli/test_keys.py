"""`sagalog keys`: how it asks for what is missing. What it does is tested beside subjects and their keys."""

from __future__ import annotations

import pytest

from sagalog.cli import execute as run


def test_a_subject_that_is_missing_is_called_by_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    """It is no option, as a stream's id is none."""
    assert run(["keys", "forget", "--log", "memory://"]) == 2

    said = capsys.readouterr().err
    assert "SUBJECT" in said
    assert "--subject" not in said
