"""Subscribing to all streams of a store."""

from __future__ import annotations

import asyncio

import pytest

from eventstore.errors import PositionRefused
from eventstore.expected import ANY, NO_STREAM
from eventstore.store import EventStore
from eventstore.streams import Position, Recorded
from tests.eventstore.streams.accounts import Deposited, Opened, collect, deposits

Accounts = EventStore[Opened | Deposited]


async def test_all_streams_in_order_per_stream(store: Accounts) -> None:
    """No order is promised between streams."""
    for number in range(20):
        await store.append(f"s{number % 5}", deposits(number), expected=ANY)

    found = await collect(store.subscribe(until_end=True))

    assert len(found) == 20
    for stream in range(5):
        assert [each.version for each in found if each.stream == f"s{stream}"] == [0, 1, 2, 3]


async def test_a_subscription_goes_on_from_the_position_of_any_event(store: Accounts) -> None:
    """S4: each event is seen once, wherever the subscriber was stopped."""
    for number in range(12):
        await store.append(f"s{number % 5}", deposits(number), expected=ANY)
    everything = await collect(store.subscribe(until_end=True))

    for seen, recorded in enumerate(everything, 1):
        position = Position.parse(str(recorded.position))
        rest = await collect(store.subscribe(after=position, until_end=True))
        assert {_id(each) for each in everything[:seen]}.isdisjoint(map(_id, rest))
        assert len(rest) == len(everything) - seen


def _id(recorded: Recorded[Opened | Deposited]) -> tuple[str, int]:
    return recorded.stream, recorded.version


async def test_a_subscription_tails_until_it_is_cancelled(store: Accounts) -> None:
    """What is appended later comes too."""
    seen: list[int] = []
    second = asyncio.Event()

    async def follow() -> None:
        async for recorded in store.subscribe():
            seen.append(recorded.version)
            if len(seen) == 2:
                second.set()

    following = asyncio.create_task(follow())
    await store.append("a", deposits(1), expected=NO_STREAM)
    await store.append("a", deposits(2), expected=0)
    async with asyncio.timeout(10):
        await second.wait()

    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following
    assert seen == [0, 1]


async def test_an_empty_store_ends_at_once(store: Accounts) -> None:
    """With `until_end`."""
    assert await collect(store.subscribe(until_end=True)) == []


@pytest.mark.parametrize("partition", [99, -1])
async def test_a_position_of_another_store_is_refused(store: Accounts, partition: int) -> None:
    """One that names more partitions than there are."""
    with pytest.raises(PositionRefused, match="another store"):
        await collect(store.subscribe(after=Position.at(partition, 1), until_end=True))
