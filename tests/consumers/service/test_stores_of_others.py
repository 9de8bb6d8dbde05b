"""Stores that a process uses and does not own, on a log in memory: a service has them, a client calls them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from consumers import Client, Service
from eventstore import ANY, NO_STREAM, EventStore, Position, Recorded, WrongExpectedVersion
from eventstore.errors import NotRunning
from eventstore.log import open_log
from eventstore.log.errors import TopicMissing
from eventstore.log.port import Log
from tests.consumers.service.ledgers import Balance, Ledger, Paid, new_ledger


@pytest.fixture
def url(unique: Callable[[str], str]) -> str:
    """A log of this test's own, by name."""
    return f"memory://{unique('others')}"


@pytest.fixture
def log(url: str) -> Iterator[Log]:
    """The log, open as long as the test runs."""
    opened = open_log(url)
    yield opened
    opened.close()


@pytest.fixture
async def owner(url: str) -> AsyncIterator[Ledger]:
    """The store of a service that runs."""
    store = new_ledger()
    async with Service("bank", components=[store], log=url):
        yield store


@pytest.fixture
async def guest(url: str, owner: Ledger) -> AsyncIterator[Ledger]:
    """The same store, in a client."""
    store = new_ledger()
    async with Client(log=url, stores=[store]):
        yield store


async def versions(found: AsyncIterator[Recorded[Paid]]) -> list[int]:
    return [each.version async for each in found]


async def test_a_client_appends_and_reads_what_a_service_owns(owner: Ledger, guest: Ledger) -> None:
    """What one of them appends, the other reads, consistently too; versions are one sequence."""
    assert (await guest.append("ann", [Paid(cents=1), Paid(cents=2)], expected=NO_STREAM)).version == 1
    assert (await owner.append("ann", [Paid(cents=3)], expected=1)).version == 2

    assert await versions(guest.read("ann")) == [0, 1, 2]
    assert await versions(guest.read("ann", backwards=True, limit=1, consistent=True)) == [2]
    assert await versions(owner.read("ann")) == [0, 1, 2]


async def test_a_client_loses_races_and_repeats_as_an_owner_does(owner: Ledger, guest: Ledger) -> None:
    """The expected version is checked by the owner, and a commit id means the same to both."""
    first = await owner.append("ann", [Paid(cents=1)], expected=NO_STREAM, commit_id="c")

    with pytest.raises(WrongExpectedVersion, match="found version 0"):
        await guest.append("ann", [Paid(cents=2)], expected=NO_STREAM)
    again = await guest.append("ann", [Paid(cents=1)], expected=NO_STREAM, commit_id="c")
    assert again.version == first.version == 0


async def test_a_client_loads_aggregates(guest: Ledger) -> None:
    """From the events that the owner has."""
    await guest.append("ann", [Paid(cents=1), Paid(cents=2)], expected=NO_STREAM)

    assert (await guest.load(Balance, "ann")).cents == 3
    assert (await guest.load(Balance, "ann", as_of=0, consistent=True)).cents == 1


async def test_a_client_truncates_and_deletes(guest: Ledger) -> None:
    """The owner erases, and the client reads what is kept."""
    await guest.append("ann", [Paid(cents=1), Paid(cents=2)], expected=NO_STREAM)

    await guest.truncate("ann", before=1, expected=1)
    assert await versions(guest.read("ann")) == [1]
    await guest.delete("ann", expected=1)
    assert await versions(guest.read("ann")) == []


async def test_a_client_follows_and_goes_on_from_a_position(url: str, owner: Ledger) -> None:
    """A subscription of one client is resumed by the next one, at the event after the last."""
    async with Client(log=url, stores=[first := new_ledger()]):
        await first.append("ann", [Paid(cents=1)], expected=NO_STREAM)
        [seen] = [each async for each in first.subscribe(until_end=True)]
    await owner.append("ann", [Paid(cents=2)], expected=0)

    async with Client(log=url, stores=[second := new_ledger()]), asyncio.timeout(10):
        async for each in second.subscribe(after=Position.parse(str(seen.position))):
            assert each.version == 1
            break


async def test_a_client_makes_no_topic(log: Log, url: str) -> None:
    """Without the service everything about the store is TopicMissing, and nothing of it is there afterwards; as soon
    as the service was started, the same client works."""
    store = new_ledger()
    async with Client(log=url, stores=[store]):
        for attempt in (
            store.append("ann", [Paid(cents=1)], expected=ANY),
            store.delete("ann", expected=ANY),
            store.load(Balance, "ann"),
            versions(store.read("ann")),
            versions(store.read("ann", consistent=True)),
            versions(store.subscribe()),
        ):
            with pytest.raises(TopicMissing, match=r"ledger\.(inbox|events).*start the service that owns it"):
                await attempt
        assert not [name for name in log.describe() if name.startswith("ledger.")]

        async with Service("bank", components=[new_ledger()], log=url):
            assert (await store.append("ann", [Paid(cents=1)], expected=NO_STREAM)).version == 0


async def test_outside_the_client_the_store_does_not_run(url: str, owner: Ledger) -> None:
    """When the client has gone, its stores say so; the service's is as it was."""
    store = new_ledger()
    async with Client(log=url, stores=[store]):
        await store.append("ann", [Paid(cents=1)], expected=NO_STREAM)

    with pytest.raises(NotRunning, match="Client"):
        await store.append("ann", [Paid(cents=2)], expected=0)
    assert await versions(owner.read("ann")) == [0]


async def test_one_object_runs_in_one_place(url: str, owner: Ledger) -> None:
    """A store that a service of this process runs is used as it is: a client of it is refused and leaves it alone."""
    with pytest.raises(ValueError, match="runs already"):
        await Client(log=url, stores=[owner]).__aenter__()

    assert (await owner.append("ann", [Paid(cents=1)], expected=NO_STREAM)).version == 0


async def test_a_process_that_hosts_other_components_calls_the_store(url: str) -> None:
    """With `only`, a store that another process of the service hosts is called in the same way."""
    store, other = new_ledger(), EventStore("other", events=[Paid])
    here, elsewhere = new_ledger(), Service("bank", components=[other, store], log=url)
    elsewhere.configure(only=["other"])
    async with Service("bank", components=[here], log=url), elsewhere:
        assert (await store.append("ann", [Paid(cents=1)], expected=NO_STREAM)).version == 0
        assert await versions(here.read("ann")) == [0]


def test_what_is_no_store_is_refused() -> None:
    """An aggregate is asked; two stores of one name would be one."""
    with pytest.raises(TypeError, match="give objects of EventStore"):
        Client(stores=[Balance])  # type: ignore[list-item] # what a newcomer tries
    with pytest.raises(ValueError, match="two stores named 'ledger'"):
        Client(stores=[new_ledger(), new_ledger()])
