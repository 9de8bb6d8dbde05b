"""Streams of another process's partitions on a real Kafka, whose owner is killed, or stopped and woken up."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, aclosing
from pathlib import Path

import pytest

from eventstore.errors import AskTimedOut
from eventstore.expected import ANY, NO_STREAM
from eventstore.streams import Position
from tests.eventstore.streams.accounts import Opened, collect, deposits
from tests.eventstore.streams.hosts import Accounts, child, hosting, store_named
from tests.waiting import eventually, eventually_async


class Children:
    """Processes with the test's store."""

    def __init__(self, url: str, name: str, folder: Path, stack: ExitStack) -> None:
        self.url, self.name, self._folder, self._stack = url, name, folder, stack

    def start(self, role: str, slot: str) -> subprocess.Popen[bytes]:
        """A process of this role."""
        arguments = (role, self.url, self.name, slot, str(self.output(slot)))
        return self._stack.enter_context(child(*arguments, output=self._folder / f"{slot}.log"))

    def output(self, slot: str) -> Path:
        """Where the process of this slot writes."""
        return self._folder / f"{slot}.out"

    def lines(self, slot: str) -> list[list[str]]:
        """What it wrote, in whole lines, as words."""
        output = self.output(slot)
        written = output.read_text() if output.exists() else ""
        return [line.split() for line in written[: written.rfind("\n") + 1].splitlines()]


@pytest.fixture
def children(kafka: str, unique: Callable[[str], str], tmp_path: Path) -> Iterator[Children]:
    """Children on the test's Kafka, killed in the end."""
    with ExitStack() as stack:
        yield Children(f"kafka://{kafka}", unique("accounts"), tmp_path, stack)


@pytest.fixture
async def guest(children: Children) -> AsyncIterator[Accounts]:
    """The store in this process, which owns nothing."""
    store = store_named(children.name)
    async with hosting(store, children.url, slot="guest", owns=False):
        yield store


async def _append(store: Accounts, stream: str, version: int, count: int = 1, *, timeout: float = 60) -> None:
    """Append so many events after a version, again under the same commit id until it is answered."""
    async with asyncio.timeout(timeout):
        while True:
            try:
                events = deposits(*range(count))
                await store.append(stream, events, expected=version, commit_id=f"{version}")
            except AskTimedOut:
                continue
            return


async def test_a_stream_is_read_from_the_process_that_owns_it(children: Children, guest: Accounts) -> None:
    """S3: in pages, over the reply path, and the topic is not read."""
    children.start("serve", "0")
    for start in range(0, 600, 200):
        await _append(guest, "a", start - 1, 200)

    assert [recorded.version async for recorded in guest.read("a")] == list(range(600))
    assert [recorded.version async for recorded in guest.read("a", backwards=True, limit=300)] == list(
        range(599, 299, -1)
    )
    assert [recorded.version async for recorded in guest.read("a", after=595, consistent=True)] == [596, 597, 598, 599]
    assert guest._reader().owners.unanswered == 0


async def test_a_read_goes_on_when_its_owner_is_killed(children: Children, guest: Accounts) -> None:
    """S3: kill −9 between two pages; the rest comes straight from the topic, and none is lost or doubled."""
    owner = children.start("serve", "0")
    for start in range(0, 600, 200):
        await _append(guest, "a", start - 1, 200)

    found: list[int] = []
    async with aclosing(guest.read("a")) as read:
        async for recorded in read:
            if not found:
                owner.kill()
                owner.wait()
            found.append(recorded.version)

    assert found == list(range(600))
    assert guest._reader().owners.unanswered == 1


async def test_a_stopped_owner_that_wakes_up_answers_no_consistent_read_as_of_before(
    children: Children, guest: Accounts
) -> None:
    """K15: stopped between a poll and its batch, replaced, woken up: reads show what was acknowledged before them."""
    stopped = children.start("read", "stopped")
    await _append(guest, "a", -1)
    acknowledged = [time.time()]
    await asyncio.to_thread(eventually, lambda: ["0"] in [line[1:] for line in children.lines("stopped")], 60)
    children.output("stopped").with_suffix(".stop").touch()
    await eventually_async(children.output("stopped").with_suffix(".stopped").exists, 60)
    children.start("serve", "successor")
    for version in range(5):
        await _append(guest, "a", version)
        acknowledged.append(time.time())

    awake = time.time()
    stopped.send_signal(signal.SIGCONT)
    await eventually_async(lambda: len([line for line in children.lines("stopped") if float(line[0]) > awake]) > 5, 60)

    for began, seen in children.lines("stopped"):
        assert int(seen) + 1 >= sum(each < float(began) for each in acknowledged), "a consistent read was stale"


async def test_a_killed_subscriber_goes_on_where_it_was(children: Children, guest: Accounts) -> None:
    """S4: kill −9, three times; each event is seen once per stored position, in order per stream."""
    children.start("serve", "0")
    written = 0
    for round_ in range(4):
        follower = children.start("follow", "follower")
        for number in range(40):
            await guest.append(f"s{number % 5}", deposits(number), expected=ANY)
            written += 1
        least = written if round_ == 3 else written - 15
        await eventually_async(lambda least=least: len(children.lines("follower")) >= least, 60)  # type: ignore[misc]
        follower.kill()
        follower.wait()

    seen = children.lines("follower")
    assert len(seen) == written == 160
    for stream in range(5):
        assert [int(version) for name, version, _ in seen if name == f"s{stream}"] == list(range(32))
    assert len(await collect(guest.subscribe(after=Position.parse(seen[99][2]), until_end=True))) == 60


async def test_an_append_larger_than_a_record_reaches_the_process_that_owns_its_stream(
    children: Children, guest: Accounts
) -> None:
    """It travels in parts; all of it is there, once, also when it is repeated under its commit id."""
    children.start("serve", "0")
    await _append(guest, "warm", -1)
    limit = guest._running().host.log.message_max_bytes
    events = [Opened(owner=f"{number}" + "x" * (limit // 10)) for number in range(50)]

    appended = await guest.append("a", events, expected=NO_STREAM, commit_id="c")
    again = await guest.append("a", events, expected=NO_STREAM, commit_id="c")

    assert appended.version == again.version == 49
    assert [recorded.event async for recorded in guest.read("a")] == events
