"""The memory engine keeps the log port's contract."""

from __future__ import annotations

from pathlib import Path

from eventstore.log import Log, open_log
from tests.eventstore.log.local_contract import LocalContract


class TestMemoryLog(LocalContract):
    """Contract of the port on `memory://name`, which the process keeps while it is closed."""

    def make_log(self, tmp_path: Path) -> Log:
        return open_log(f"memory://{tmp_path.name}")
