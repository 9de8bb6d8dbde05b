"""The tables of docs/performance.md are made of what runs wrote."""

from __future__ import annotations

from benchmarks.figures import Figure, Target, report
from benchmarks.page import BEGIN, END, PAGE, page

FIGURES = (
    Figure("appends, 64 callers", 5_850.0, "/s", 7_040.0, Target(at_least=10_000), bench="append", engine="kafka"),
    Figure("appends, 64 callers", 31_000.0, "/s", None, Target(at_least=30_000), bench="append", engine="embedded"),
)


def test_each_engine_has_a_table_that_says_what_was_reached() -> None:
    """A figure beside its bare loop, its ratio and its target; when, on what and in how many rounds it was measured."""
    made = page([report(FIGURES, {"rounds": "3"})])

    about, kafka, _, embedded = made.split("\n\n")
    assert "Medians of 3 rounds" in about
    assert kafka.split("\n")[2] == "| appends, 64 callers | 5,850/s | 7,040/s | 0.83 | ≥ 10,000 | no |"
    assert embedded.split("\n")[2] == "| appends, 64 callers | 31,000/s |  |  | ≥ 30,000 | yes |"


def test_the_page_has_tables() -> None:
    """Of both engines that keep what they are given."""
    shown = PAGE.read_text().split(BEGIN)[1].split(END)[0]

    assert "| figure, on Kafka | measured |" in shown
    assert "| figure, on the embedded engine | measured |" in shown
