"""What is installed is pinned, hashed, and names no host."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent.parent
_FILES = sorted((_ROOT / "requirements").glob("*.txt"))
_PIN = re.compile(r"^([a-z0-9-]+)==(\S+)(?: ; .+)? \\$")


def _pins(file: Path) -> dict[str, str]:
    lines = (line for line in file.read_text().splitlines() if line and line[0] not in " #")
    return {found[1]: found[2] for line in lines if (found := _PIN.match(line))}


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.name)
def test_every_line_is_a_pin_with_hashes(file: Path) -> None:
    """Each requirement has one exact version and at least one SHA-256, and nothing else is in the file."""
    blocks = re.split(r"\n(?=\S)", file.read_text().strip())

    for block in (block for block in blocks if not block.startswith("#")):
        assert _PIN.match(block.splitlines()[0]), block.splitlines()[0]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block)


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.name)
def test_no_host_is_named(file: Path) -> None:
    """Where packages come from is the business of whoever installs them."""
    assert not re.search(r"://|--index|--find-links|--trusted-host|@ file", file.read_text())


def test_all_files_pin_the_same_versions() -> None:
    """The demo and the benchmarks run on the versions that the tests ran on."""
    developed, run, peers = (_pins(_ROOT / "requirements" / name) for name in ("dev.txt", "run.txt", "peers.txt"))

    assert run.items() <= developed.items()
    assert {name: peers[name] for name in peers.keys() & developed} == {
        name: developed[name] for name in peers.keys() & developed
    }


def test_all_extras_are_pinned() -> None:
    """Every dependency that pyproject.toml names is in the pins of the developers, or of those who measure others."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    named = [*project["dependencies"], *(line for extra in extras for line in extras[extra] if extra != "peers")]

    assert _names(named) <= set(_pins(_ROOT / "requirements" / "dev.txt"))
    assert _names(extras["peers"]) <= set(_pins(_ROOT / "requirements" / "peers.txt"))


def _names(lines: list[str]) -> set[str]:
    return {re.split(r"[><=\[; ]", line)[0].lower() for line in lines}
