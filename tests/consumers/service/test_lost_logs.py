"""What becomes of callers on an embedded log whose owner's process is gone (rule B)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from consumers import Client
from eventstore.hosting import Hosting
from eventstore.log.errors import LogClosed, OutcomeUnknown
from eventstore.log.records import TopicPartition
from tests.consumers.service.app import Add
from tests.waiting import eventually_async

OWNER = """
import asyncio, sys
from eventstore.log import open_log
from tests.consumers.service.app import fresh

async def once():
    async with fresh(log=sys.argv[1]) as service:
        await service.ready()

log = open_log(sys.argv[1])
asyncio.run(once())
print("ready", flush=True)
sys.stdin.read()
"""
"""Owns the log; its service has run, so that everything is there, and runs no more."""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"embedded://{tmp_path}/log"


@pytest.fixture
def owner(url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that answers nobody."""
    command = [sys.executable, "-c", OWNER, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path.cwd()) as process:
        assert process.stdout is not None
        assert b"ready\n" in process.stdout
        yield process
        process.kill()


async def test_callers_are_told_that_their_log_is_gone(url: str, owner: subprocess.Popen[bytes]) -> None:
    """At once, however patient they are: only another client reaches the log again."""
    async with Client(log=url) as client:
        runtime = client.runtime
        assert isinstance(runtime, Hosting)
        inbox = [TopicPartition("tally.inbox", number) for number in range(4)]
        before = runtime.host.log.end_positions(inbox)
        asking = asyncio.create_task(client.ask(Add(counter="a"), timeout=timedelta(minutes=9)))
        await eventually_async(lambda: runtime.host.log.end_positions(inbox) != before)

        owner.kill()

        with pytest.raises((LogClosed, OutcomeUnknown), match="open the log again"):
            await asyncio.wait_for(asking, 10)
        with pytest.raises(LogClosed, match=r"leave this client .* and begin another one, which asks again with the"):
            await client.ask(Add(counter="a"))
