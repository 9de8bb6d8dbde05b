"""One node of a local cluster: a JVM under a watcher that stops it when we are gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from sagalog.broker.errors import BrokerNotStarted
from sagalog.broker.properties import Address

_WATCHER = Path(__file__).with_name("watcher.py")
_TAIL_LINES = 15


class Node:
    """A broker process, its address and its log. Every method may be called in any state."""

    def __init__(self, address: Address, command: Sequence[str], log: Path, scratch: Path | None) -> None:
        self.address, self.log = address, log
        self._command, self._scratch = list(command), scratch
        self._watcher: subprocess.Popen[str] | None = None
        self._pid = 0

    @property
    def runs(self) -> bool:
        """Whether the process is there, stopped ones included."""
        return self._watcher is not None and self._watcher.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the JVM, while it runs."""
        return self._pid

    def start(self) -> None:
        """Start the process; it answers some time later. Raises `BrokerNotStarted` when it cannot be run at all."""
        if self.runs:
            return
        scratch = str(self._scratch) if self._scratch else ""
        watcher = [sys.executable, "-I", "-S", str(_WATCHER), str(os.getpid()), str(self.log), scratch]
        self._watcher = subprocess.Popen(
            [*watcher, *self._command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._watcher.stdout is not None
        answer = self._watcher.stdout.readline()
        if not answer:
            raise BrokerNotStarted(f"node {self.address.node} could not be run", self.log, self.tail())
        self._pid = int(answer)

    def kill(self) -> None:
        """End the process as a crash would, and wait until it is gone."""
        self._signal(signal.SIGKILL)
        self._reap(timeout_s=30)

    def terminate(self, timeout_s: float) -> None:
        """Let the process shut down in order; kill it when that takes longer."""
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        try:
            self._reap(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def stop(self) -> None:
        """Freeze the process: its connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen process go on."""
        self._signal(signal.SIGCONT)

    def tail(self) -> str:
        """The last lines of the log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-_TAIL_LINES:])

    def _signal(self, number: signal.Signals) -> None:
        if self.runs:
            os.kill(self._pid, number)

    def _reap(self, timeout_s: float) -> None:
        if self._watcher is None:
            return
        self._watcher.wait(timeout_s)
        for pipe in (self._watcher.stdin, self._watcher.stdout):
            if pipe:
                pipe.close()
