"""A user's file with the name of one of our packages is named, whatever is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from _sagalog_ours import PACKAGES

_ROOT = Path(__file__).parent.parent.parent


def _import(package: str, folder: Path) -> str:
    """What Python says when the package is imported by a program in the folder."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(_ROOT)])}
    command = [sys.executable, "-c", f"import {package}"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.stderr


@pytest.mark.parametrize(
    ("file", "package"),
    [(file, package) for index, file in enumerate(PACKAGES) for package in PACKAGES[index + 1 :]],
)
def test_a_shadowing_module_is_named(file: str, package: str, tmp_path: Path) -> None:
    """Importing a package whose lower layer is shadowed says which file to rename."""
    (tmp_path / f"{file}.py").write_text("")

    said = _import(package, tmp_path).splitlines()[-1]

    assert said.startswith(f"ImportError: {package} needs its own package '{file}', but {tmp_path / file}.py is found")


def test_a_shadowing_package_is_named(tmp_path: Path) -> None:
    """A folder with an `__init__` shadows as a module does."""
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "__init__.py").write_text("")

    assert f"but {tmp_path / 'schemas' / '__init__.py'} is found in its place" in _import("sagas", tmp_path)


def test_nothing_is_said_without_a_shadow(tmp_path: Path) -> None:
    """From a folder with other names, every package is imported in silence."""
    (tmp_path / "models.py").write_text("")

    assert _import("sagalog", tmp_path) == ""
