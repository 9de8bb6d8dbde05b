"""A process that only uses an embedded folder lets the one that hosts something be its owner."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from eventstore.log import open_log
from eventstore.log.errors import LogClosed
from eventstore.log.local.remote.client import RemoteLog
from eventstore.log.port import Use

HOST = """
import sys
from eventstore.log import *
from eventstore.log.errors import LogError
log = open_log(sys.argv[1], use="host")
try:
    log.transactor("one")
except LogError as error:
    print(type(error).__name__, flush=True)
else:
    print("hosts", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("uses", "says"), [(["guest"], b"hosts"), (["any"], b"EmbeddedInUse"), (["guest", "host"], b"EmbeddedInUse")]
)
def test_who_only_uses_a_folder_gives_it_to_who_hosts(tmp_path: Path, uses: list[Use], says: bytes) -> None:
    """A client that is begun anew before its service is, does not keep the service from starting; it is told."""
    url = f"embedded://{tmp_path / 'log'}"
    logs = [open_log(url, use=use) for use in uses]
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )
    try:
        assert host.stdout is not None
        assert host.stdout.readline().strip() == says
        if says == b"hosts":
            with pytest.raises(LogClosed):
                logs[0].groups()
            anew = open_log(url, use="guest")
            assert isinstance(anew, RemoteLog)
            assert anew.owner == host.pid
            anew.close()
    finally:
        host.kill()
        host.communicate(timeout=10)
        for log in logs:
            log.close()
