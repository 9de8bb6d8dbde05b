"""The embedded engine keeps the log port's contract, in the process that owns the folder."""

from __future__ import annotations

from pathlib import Path

from eventstore.log import Log, open_log
from tests.eventstore.log.local_contract import LocalContract


class TestEmbeddedLog(LocalContract):
    """Contract of the port on `embedded:///folder`."""

    def make_log(self, tmp_path: Path) -> Log:
        return open_log(f"embedded://{tmp_path}/log")


class TestEmbeddedLogWithFsync(TestEmbeddedLog):
    """The same with `fsync=commit`."""

    def make_log(self, tmp_path: Path) -> Log:
        return open_log(f"embedded://{tmp_path}/log?fsync=commit")
