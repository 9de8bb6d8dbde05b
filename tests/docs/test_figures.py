"""The README's figures are those that were measured."""

from __future__ import annotations

from tests.docs.figures import table, written


def test_the_readme_has_the_measured_figures() -> None:
    """`python -m tests.docs.figures` takes them from docs/performance.md."""
    assert written() == table()


def test_a_target_that_was_missed_is_said_so() -> None:
    """Each row with a target says whether it was reached."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in written().split("\n")[2:]]

    assert [row for row in rows if bool(row[-2]) != (row[-1] in ("yes", "no"))] == []
