"""`from sagalog import …`: each public name is there, has one home, and is loaded when it is used."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import sagalog

PACKAGES = ("schemas", "eventstore", "consumers", "sagas")


@pytest.mark.parametrize("name", sagalog.__all__)
def test_each_name_is_that_of_one_package(name: str) -> None:
    """It is the same object as in the package below that exports it, and no other exports the same name."""
    homes = [package for package in map(import_module, PACKAGES) if name in package.__all__]

    assert len(homes) == 1
    assert getattr(sagalog, name) is getattr(homes[0], name)
    assert name in dir(sagalog)


def test_a_name_that_is_not_there_is_an_error() -> None:
    """As with any module."""
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        getattr(sagalog, "nothing")  # noqa: B009 - type checkers know that it is missing
    with pytest.raises(ImportError, match="nothing"):
        exec("from sagalog import nothing", {})


def test_help_loads_none_of_the_packages_below() -> None:
    """The command line shows its help without loading what only commands need."""
    program = (
        "import sys\nfrom sagalog.cli import execute\nexecute(['--help'])\n"
        f"print(sorted(sys.modules.keys() & set({PACKAGES!r})), file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert done.stderr == "[]\n"
