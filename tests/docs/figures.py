"""The README's figures, taken from docs/performance.md: `python -m tests.docs.figures` writes them."""

from __future__ import annotations

import re

from tests.docs.pages import ROOT

README = ROOT / "README.md"
BEGIN, END = "<!-- figures: python -m tests.docs.figures -->", "<!-- end of figures -->"
COLUMNS = ("figure, on Kafka", "measured", "bare loop", "ratio", "target", "reached")


def table() -> str:
    """Those on Kafka, as they stand in docs/performance.md."""
    text = (ROOT / "docs" / "performance.md").read_text()
    found = re.search(rf"^\| {COLUMNS[0]} \|.*?\n\n", text, re.MULTILINE | re.DOTALL)
    assert found, "docs/performance.md has no table of figures"
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in found[0].strip().split("\n")]
    chosen = [head.index(column) for column in COLUMNS]
    lines = [COLUMNS, ["---"] * len(COLUMNS), *([row[number] for number in chosen] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def written() -> str:
    """What the README has."""
    return README.read_text().split(BEGIN)[1].split(END)[0].strip()


def main() -> None:
    """Write them."""
    before, rest = README.read_text().split(BEGIN)
    README.write_text(f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
