"""What the documentation points to is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Page, pages

_LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?(?: \"([^\"]*)\")?\)")
_TEST = re.compile(r"`((?:tests|eventstore)/[\w/]+\.py)::([\w:]+)`")
_FILE = re.compile(r"`((?:schemas|eventstore|consumers|sagas|sagalog|tests|examples|benchmarks)/[\w/]*(?:\.\w+)?)`")


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Page) -> None:
    """Files are there, headings too, and a link whose title names a test leads to the file that has it."""
    for target, anchor, title in _LINK.findall(page.prose):
        if target.startswith(("http:", "https:")):
            continue
        path = (page.path.parent / target).resolve() if target else page.path
        assert path.exists(), f"{page.name} links to {target}, which is not there"
        if anchor:
            assert anchor[1:] in _anchors(path), f"{page.name} links to {target}{anchor}: no such heading"
        if title.startswith("test_"):
            assert title in _functions(path), f"{page.name}: {target} has no {title}"


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_named_files_and_tests_are_there(page: Page) -> None:
    """Whatever is written as a path, or as path::test, but for what the page itself shows."""
    shown = {block.file for block in page.blocks}
    for name in _FILE.findall(page.prose):
        assert name in shown or (ROOT / name).exists(), f"{page.name} names {name}, which is not there"
    for name, test in _TEST.findall(page.prose):
        assert (ROOT / name).exists(), f"{page.name} names {name}, which is not there"
        assert test.split("::")[-1] in _functions(ROOT / name), f"{page.name}: {name} has no {test}"


@cache
def _functions(path: Path) -> frozenset[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@cache
def _anchors(path: Path) -> frozenset[str]:
    """As they are made of headings."""
    headings = re.findall(r"^#+ (.*)$", Page(path, path.read_text()).prose, re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)
