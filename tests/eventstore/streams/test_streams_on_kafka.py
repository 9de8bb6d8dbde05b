"""The same promises on a real Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import pytest

from eventstore.component import Runtime
from eventstore.errors import CommitIdReused, WrongExpectedVersion
from eventstore.expected import ANY, NO_STREAM
from eventstore.reading import Streams
from eventstore.store import EventStore
from eventstore.streams import Position
from tests.eventstore.streams.accounts import Account, Deposited, Opened, collect, deposits
from tests.eventstore.streams.conftest import Elsewhere

Accounts = EventStore[Opened | Deposited]


@pytest.fixture
async def make(
    kafka: str, unique: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Accounts]:
    """Makes the same store again and again."""
    monkeypatch.chdir(tmp_path)
    name = unique("accounts")
    return lambda: EventStore[Opened | Deposited](
        name, events=[Opened, Deposited], log=f"kafka://{kafka}", partitions=4
    )


@pytest.fixture
async def on_kafka(make: Callable[[], Accounts]) -> AsyncIterator[Accounts]:
    """A store that runs alone on Kafka."""
    async with make() as store:
        yield store


async def test_of_racing_writers_one_wins_each_version(on_kafka: Accounts) -> None:
    """S1: versions have no gaps, whoever races."""

    async def write(writer: int) -> int:
        won, version = 0, -1
        while won < 5:
            try:
                version = (await on_kafka.append("a", deposits(writer), expected=version)).version
                won += 1
            except WrongExpectedVersion as lost:
                version = -1 if lost.actual is NO_STREAM else lost.actual
        return won

    async with asyncio.timeout(60):
        await asyncio.gather(*map(write, range(8)))

    assert [recorded.version async for recorded in on_kafka.read("a")] == list(range(40))


async def test_index_and_topic_tell_the_same(on_kafka: Accounts) -> None:
    """Events, versions, metadata, times and positions, in both directions."""
    runtime = on_kafka._running()
    elsewhere: Streams[Opened | Deposited] = Streams(on_kafka.name, cast("Runtime", Elsewhere(runtime)))
    for number in range(30):
        await on_kafka.append(f"s{number % 3}", deposits(number, number), expected=ANY)

    for backwards in (False, True):
        here = await collect(on_kafka.read("s1", backwards=backwards))
        assert len(here) == 20
        assert await collect(elsewhere.read("s1", backwards=backwards)) == here


async def test_a_later_process_returns_the_first_result_of_a_commit_id(make: Callable[[], Accounts]) -> None:
    """S2: also after the owner is another one."""
    async with make() as store:
        first = await store.append("a", deposits(1, 2), expected=NO_STREAM, commit_id="c")

    async with make() as store:
        again = await store.append("a", deposits(1, 2), expected=NO_STREAM, commit_id="c")
        with pytest.raises(CommitIdReused):
            await store.append("a", deposits(3), expected=ANY, commit_id="c")

        assert again.version == first.version
        assert again.position.covers(first.position)
        assert (await store.load(Account, "a")).cents == 3


async def test_a_subscription_goes_on_where_it_stopped(on_kafka: Accounts) -> None:
    """S4: across transaction markers, which take offsets too."""
    for number in range(20):
        await on_kafka.append(f"s{number % 5}", deposits(number), expected=ANY)
    everything = await collect(on_kafka.subscribe(until_end=True))

    position = Position.parse(str(everything[7].position))
    rest = await collect(on_kafka.subscribe(after=position, until_end=True))

    assert len(everything) == 20
    assert sorted((r.stream, r.version) for r in rest) == sorted((r.stream, r.version) for r in everything[8:])
