"""`sagalog run` as a test drives it: processes of their own, what they print, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from typing import Any, Self

from tests.waiting import eventually

APP = "tests.consumers.service.app:service"
ROOT = Path(__file__).parents[3]


class Run:
    """One `sagalog run`, until the `with` block ends."""

    def __init__(
        self, folder: Path, *options: str, target: str = APP, environment: Mapping[str, str] | None = None
    ) -> None:
        command = [sys.executable, "-m", "sagalog", "run", target, "--log-format", "json", *options]
        self._errors = folder / f"run-{os.urandom(3).hex()}.log"
        self.ready: list[dict[str, Any]] = []
        """What was printed, a line for each process that became ready."""
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **(environment or {})},
            )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(50)
            finally:
                self.process.kill()
        self._reader.join(10)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            self.ready += (json.loads(line) for line in output)

    def wait_ready(self, count: int = 1, timeout: float = 60.0) -> list[dict[str, Any]]:
        """Wait for so many lines."""
        eventually(lambda: len(self.ready) >= count or self.process.poll() is not None, timeout)
        assert len(self.ready) >= count, self.logged()[-4000:]
        return self.ready

    def stop(self, timeout: float = 50.0) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def logged(self) -> str:
        """Its standard error so far."""
        return self._errors.read_text()


def get(address: str, path: str) -> tuple[int, str]:
    """Status and body of a GET."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
