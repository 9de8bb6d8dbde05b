"""Processes with a store that are killed: what they said holds, on a real Kafka and on an embedded log (S2–S4, S12)."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from eventstore.errors import AskTimedOut
from eventstore.expected import ANY, NO_STREAM
from eventstore.streams import Appended
from tests.eventstore.streams.accounts import collect, deposits
from tests.eventstore.streams.hosts import Accounts, child, hosting, store_named
from tests.waiting import eventually_async


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A log of each kind."""
    if request.param == "kafka":
        return f"kafka://{request.getfixturevalue('kafka')}"
    return f"embedded://{tmp_path / 'log'}"


@pytest.fixture
def name(unique: Callable[[str], str]) -> str:
    return unique("accounts")


def lines(output: Path) -> list[str]:
    """The whole lines that a process wrote."""
    written = output.read_text() if output.exists() else ""
    return written[: written.rfind("\n") + 1].splitlines()


async def patiently(append: Callable[[], Awaitable[Appended]]) -> Appended:
    """Append under a commit id, again until the owner answers: a successor takes 6 seconds on Kafka."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await append()
            except AskTimedOut:
                continue


async def test_a_repeat_after_the_owner_was_killed_returns_the_first_result(
    url: str, name: str, tmp_path: Path
) -> None:
    """S2: kill −9 after the acknowledgement; the next owner knows the commit id, and other content under it."""
    output = tmp_path / "0.out"
    with child("race", url, name, "0", str(output), output=tmp_path / "0.log", COUNT="1"):
        await eventually_async(lambda: len(lines(output)) == 2, 60)

    store = store_named(name)
    async with hosting(store, url):
        await patiently(lambda: store.append("a", deposits(7, 8), expected=0, commit_id="c"))
        again = await store.append("a", deposits(0), expected=NO_STREAM, commit_id="0-0-0")
        assert again.version == int(lines(output)[0]) == 0
        assert [each.version for each in await collect(store.read("a"))] == [0, 1, 2]


async def test_a_stream_is_read_beside_the_process_that_owns_it(url: str, name: str, tmp_path: Path) -> None:
    """S3: in both directions, within bounds, as of a version and consistently, from a process that owns nothing."""
    store = store_named(name)
    with child("serve", url, name, "0", "-", output=tmp_path / "0.log"):
        await eventually_async(lambda: "partition=3" in (tmp_path / "0.log").read_text(), 60)
        async with hosting(store, url, slot="guest", owns=False):
            for first in range(0, 600, 200):
                await store.append("a", deposits(*range(first, first + 200)), expected=first - 1)

            async def versions(**how: object) -> list[int]:
                return [each.version async for each in store.read("a", **how)]  # type: ignore[arg-type] # bounds

            assert await versions() == list(range(600))
            assert await versions(backwards=True, limit=300) == list(range(599, 299, -1))
            assert await versions(after=9, until=12) == [10, 11, 12]
            assert await versions(as_of=2) == [0, 1, 2]
            assert await versions(after=597, consistent=True) == [598, 599]


async def test_a_subscriber_that_is_killed_sees_each_event_once(url: str, name: str, tmp_path: Path) -> None:
    """S4: kill −9 twice, resumed by the position stored with each event; in order per stream."""
    store, output = store_named(name), tmp_path / "follow.out"

    def append(number: int) -> Awaitable[Appended]:
        return store.append(f"s{number % 3}", deposits(number), expected=ANY, commit_id=f"{number}")

    async def follow(at_least: int) -> None:
        with child("follow", url, name, "f", str(output), output=tmp_path / "f.log"):
            await eventually_async(lambda: len(lines(output)) >= at_least, 60)

    async with hosting(store, url):
        for sent in range(0, 60, 20):
            for number in range(sent, sent + 20):
                await patiently(partial(append, number))
            await follow(sent + 15)
        await follow(60)

    seen = [line.split()[:2] for line in lines(output)]
    for stream in ("s0", "s1", "s2"):
        assert [int(version) for whose, version in seen if whose == stream] == list(range(20))


async def test_a_state_folder_deleted_under_load_comes_back(url: str, name: str, tmp_path: Path) -> None:
    """S12: rows are deleted under a process that appends, and it is killed; its successor restores them and goes on."""
    state, outputs = tmp_path / "state", [tmp_path / "0.out", tmp_path / "1.out"]
    with ExitStack() as running:
        for output in outputs:
            process = running.enter_context(
                child("race", url, name, "0", str(output), output=tmp_path / "0.log", COUNT="100000", STATE=str(state))
            )
            await eventually_async(lambda: len(lines(output)) > 50, 60)  # noqa: B023 - called before the next one
            shutil.rmtree(state)
            await asyncio.to_thread(process.kill)
            await asyncio.to_thread(process.wait)

    store, acknowledged = store_named(name), [int(line) for output in outputs for line in lines(output)]
    async with hosting(store, url, state=str(state)):
        read = await collect(store.read("a"))
        assert [each.version for each in read] == list(range(len(read)))
        assert set(acknowledged) <= {each.version for each in read}
        assert len(acknowledged) == len(set(acknowledged))
        assert await topic_of(store) == {(each.version, each.metadata.commit) for each in read}


async def topic_of(store: Accounts) -> set[tuple[int, str]]:
    """What the topic itself holds."""
    return {(each.version, each.metadata.commit) async for each in store.subscribe(until_end=True)}
