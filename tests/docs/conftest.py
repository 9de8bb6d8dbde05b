"""What a reader of the documentation has: sagalog installed in an environment, and nothing of this folder on a path."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig

import pytest

from tests.docs.pages import ROOT


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables of a shell in which a fresh environment with sagalog is active, as after `pip install .`.

    What sagalog and the pages need beside it is taken from the environment of the tests, so nothing is fetched.
    """
    folder = tmp_path_factory.mktemp("installed") / "venv"
    python = folder / "bin" / "python"
    _run(sys.executable, "-m", "venv", "--without-pip", str(folder))
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    options = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--ignore-installed")
    _run(sys.executable, "-m", "pip", "--python", str(python), "install", *options, str(ROOT))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SAGALOG", "PYTEST", "PYTHON"))}
    return {**kept, "PATH": f"{python.parent}:{os.environ['PATH']}", "NO_COLOR": "1"}


def _run(*command: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, f"{' '.join(command)}:\n{ended.stdout}{ended.stderr}"
