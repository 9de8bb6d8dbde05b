"""What the documentation shows is run, and prints what it says."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path

import pytest

from sagalog.cli import application
from tests.docs.pages import ROOT, Block, Page, pages

SECONDS = 40
_RUN = [page for page in pages() if any(one.language == "python" or one.info == "sh run" for one in page.blocks)]
_SHELL = [
    pytest.param(block, id=f"{page.name}:{block.line}")
    for page in pages()
    for block in page.blocks
    if block.language == "sh"
]
_REDIRECTED = re.compile(r"[0-9]?[<>|&]")
"""How a word begins that is the shell's, not the command's."""
_TARGET = re.compile(r"^([a-z][\w -]*):", re.MULTILINE)


@pytest.mark.parametrize("page", _RUN, ids=lambda page: page.name)
def test_a_page_runs_and_prints_what_it_says(page: Page, tmp_path: Path, installed: Mapping[str, str]) -> None:
    """Its files are written, its program and its commands are run, in a folder of their own, as a reader runs them."""
    for block in page.blocks:
        if block.file:
            path = tmp_path / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)

    program = printed = _program(page, tmp_path, installed)

    for block, above in zip(page.blocks[1:], page.blocks, strict=False):
        if above.info == "sh run":
            script = ["bash", "-euo", "pipefail", "-c", above.text]
            printed = _run(script, tmp_path, installed, f"{page.name}:{above.line}")
        elif above.language == "python" and not above.file:
            printed = program
        if block.info == "text output":
            assert _says(printed, block.text), f"{page.name}:{block.line} says\n{block.text}\nit is\n{printed}"


def test_pages_run_on_what_was_installed(tmp_path: Path, installed: Mapping[str, str]) -> None:
    """Neither this folder nor its packages are found by a path: what a page does is what works for its reader."""
    script = ["python", "-c", "import sys, sagalog; print(sys.prefix, sagalog.__file__, *sys.path, sep='\\n')"]

    prefix, found, *path = _run(script, tmp_path, installed, "python").splitlines()

    assert Path(found).is_relative_to(prefix)
    assert str(ROOT) not in path


@pytest.mark.parametrize("page", _RUN, ids=lambda page: page.name)
def test_the_name_of_a_file_is_seen(page: Page) -> None:
    """What a fence says is not rendered: the line above it says the name too."""
    lines = page.text.split("\n")
    for block in page.blocks:
        if block.file:
            assert f"`{block.file}`:" in lines[block.line - 4], f"{page.name}:{block.line} does not show {block.file}"


@pytest.mark.parametrize("block", _SHELL)
def test_commands_exist(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sagalog` has each command with these flags, make has each target, Python each module."""
    monkeypatch.setenv("SAGALOG_LOG", "memory://")
    targets = {name for found in _TARGET.findall((ROOT / "Makefile").read_text()) for name in found.split()}
    for line in block.text.replace("\\\n", " ").splitlines():
        words = [word for word in shlex.split(line, comments=True) if not re.fullmatch(r"[A-Z_]+=.*", word)]
        match words:
            case ["sagalog", *arguments]:
                given = takewhile(lambda word: not _REDIRECTED.match(word), arguments)
                application().parse_args(list(given), exit_on_error=False, print_error=False)
            case ["make", *chosen]:
                assert set(chosen) <= targets, line
            case ["python", "-m", module, *_] if module.startswith(("examples", "benchmarks", "tests")):
                path = ROOT / module.replace(".", "/")
                assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), line
            case _:
                pass


def test_the_readme_shows_the_example() -> None:
    """Up to what it prints, the README's program is examples/shop.py."""
    [shown] = [block.text for block in pages()[0].blocks if block.language == "python"]
    example = (ROOT / "examples" / "shop.py").read_text()

    assert _definitions(shown) == _definitions(example)


def test_the_readmes_second_run_does_nothing_again(tmp_path: Path, installed: Mapping[str, str]) -> None:
    """On a log that lasts, here a folder, it prints what the README says of Kafka: outcomes stay, nothing is done."""
    [shown] = [block.text for block in pages()[0].blocks if block.language == "python"]
    [said] = [block.text for block in pages()[0].blocks if block.info == "text" and "shipped after" in block.text]
    program = tmp_path / "order.py"
    program.write_text(shown.replace("memory://", "embedded:log"))

    first, second = (_run(["python", str(program)], tmp_path, installed, f"run {number}") for number in (1, 2))

    assert second == said
    assert first != second


def _definitions(program: str) -> str:
    return program[program.index("import asyncio") : program.index("async def main")]


def _program(page: Page, folder: Path, environment: Mapping[str, str]) -> str:
    """Run the page's blocks of Python as one program, whose lines have the page's numbers."""
    lines = [""] * page.text.count("\n")
    for block in page.blocks:
        if block.language == "python" and not block.file:
            lines[block.line - 1 : block.line - 1 + block.text.count("\n")] = block.text.splitlines()
    if not any(lines):
        return ""
    program = folder / "page.py"
    program.write_text("\n".join(lines))
    return _run(["python", "-W", "error", str(program)], folder, environment, page.name)


def _run(command: list[str], folder: Path, environment: Mapping[str, str], what: str) -> str:
    ended = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert ended.returncode == 0, f"{what} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}"
    return ended.stdout


def _says(printed: str, expected: str) -> bool:
    """Whether these lines are in the output, one after another."""
    lines = (re.escape(line.rstrip()).replace("…", ".*") for line in expected.rstrip().split("\n"))
    pattern = r"[ ]*\n".join(re.sub(r"(\\ )+", r"[ ]+", line) for line in lines)
    return re.search(rf"^{pattern}[ ]*$", printed, re.MULTILINE) is not None
