"""The pages of the documentation and the blocks of code in them.

What the first line of a block says decides what becomes of it:

=======================  ===========================================================================================
` ```python `            run; all such blocks of a page are one program, from top to bottom
` ```python file=a/b.py ` written to that file before anything of the page runs
` ```sh run `            run by a shell, in the page's folder, after the files were written; it must succeed
` ```text output `       what the block above prints, with `…` for whatever differs from run to run
` ```sh `                read only: the commands and flags must exist
=======================  ===========================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^(`{3,})(.*)$")
_FILE = re.compile(r"\bfile=(\S+)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    line: int
    """Of its first line of text, from 1."""
    info: str
    text: str

    @property
    def language(self) -> str:
        return self.info.split(" ")[0]

    @property
    def file(self) -> str:
        """The file that it shows; empty if it shows none."""
        found = _FILE.search(self.info)
        return found[1] if found else ""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the documentation."""

    path: Path
    text: str = field(repr=False)

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def blocks(self) -> list[Block]:
        return list(_blocks(self.text))

    @property
    def prose(self) -> str:
        """The page without its blocks; lines keep their numbers."""
        lines = self.text.split("\n")
        for block in self.blocks:
            for number in range(block.line - 2, block.line + block.text.count("\n")):
                lines[number] = ""
        return "\n".join(lines)


def pages() -> list[Page]:
    """README and everything below docs."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [Page(path, path.read_text()) for path in paths]


def _blocks(text: str) -> Iterator[Block]:
    fence, info, start, held = "", "", 0, list[str]()
    for number, line in enumerate(text.split("\n"), 1):
        found = _FENCE.match(line)
        if fence and line == fence:
            yield Block(start, info, "".join(f"{one}\n" for one in held))
            fence = ""
        elif fence:
            held.append(line)
        elif found:
            fence, info, start, held = found[1], found[2].strip(), number + 1, []
