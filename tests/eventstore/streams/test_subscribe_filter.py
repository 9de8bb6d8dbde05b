"""Subscriptions to some streams and some types, and positions that cannot be resumed from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from eventstore.errors import EventNotDeclared, PositionRefused
from eventstore.expected import ANY, NO_STREAM
from eventstore.log import open_log
from eventstore.log.memory import discard
from eventstore.log.records import TopicPartition
from eventstore.store import EventStore
from eventstore.streams import Position
from schemas import Event, UnknownType
from tests.eventstore.streams.accounts import Closed, Deposited, Opened, collect, deposits

Accounts = EventStore[Opened | Deposited]


async def _fill(store: Accounts) -> None:
    for stream in ("paris-1", "paris-2", "rome-1", "par"):
        await store.append(stream, [Opened(owner=stream), *deposits(1, 2)], expected=NO_STREAM)


async def test_a_subscription_to_a_prefix_shows_its_streams_only(store: Accounts) -> None:
    """S4: by the beginning of the stream's id."""
    await _fill(store)

    found = await collect(store.subscribe(prefix="paris-", until_end=True))

    assert sorted((each.stream, each.version) for each in found) == [
        (stream, version) for stream in ("paris-1", "paris-2") for version in range(3)
    ]


async def test_a_subscription_to_types_shows_those_only(store: Accounts) -> None:
    """S4: together with a prefix too."""
    await _fill(store)

    opened = await collect(store.subscribe(types=[Opened], until_end=True))
    deposited = await collect(store.subscribe(types=[Deposited], prefix="rome", until_end=True))

    assert sorted(each.stream for each in opened) == ["par", "paris-1", "paris-2", "rome-1"]
    assert [(each.stream, each.version) for each in deposited] == [("rome-1", 1), ("rome-1", 2)]


async def test_a_filtered_subscription_goes_on_from_the_position_of_any_event(store: Accounts) -> None:
    """S4: what was passed over in between does not come either."""
    await _fill(store)
    everything = await collect(store.subscribe(types=[Deposited], until_end=True))

    for seen, recorded in enumerate(everything, 1):
        position = Position.parse(str(recorded.position))
        rest = await collect(store.subscribe(after=position, types=[Deposited], until_end=True))
        assert len(rest) == len(everything) - seen


async def test_arguments_of_other_types_are_refused_by_name(store: Accounts) -> None:
    """The text of a position, a class without its list: the error says what to give."""
    wrong: Any = "2::0=12"
    alone: Any = Deposited
    named: Any = ["account.deposited"]

    with pytest.raises(TypeError, match=r"after='2::0=12' is no Position: give Position\.parse\('2::0=12'\)"):
        store.subscribe(after=wrong)
    with pytest.raises(TypeError, match=r"is no list of event classes: give types=\[…\]"):
        store.subscribe(types=alone)
    with pytest.raises(TypeError, match=r"types has 'account\.deposited', which is no event class: give the classes"):
        store.subscribe(types=named)


@pytest.mark.parametrize("prefix", [b"par", None, 5])
async def test_a_prefix_that_is_no_text_is_refused(store: Accounts, prefix: Any) -> None:
    """At the call."""
    with pytest.raises(TypeError, match=rf"prefix={prefix!r} is no str: give what the ids of streams begin with"):
        store.subscribe(prefix=prefix)


async def test_half_a_surrogate_pair_is_no_prefix(store: Accounts) -> None:
    """No stream's id begins with it."""
    with pytest.raises(ValueError, match=r"prefix '\\ud800' cannot be written in UTF-8: remove its lone surrogates"):
        store.subscribe(prefix="\ud800")


async def test_a_type_of_another_store_cannot_be_asked_for(store: Accounts) -> None:
    """It would never come."""
    other: list[Any] = [Closed]

    with pytest.raises(EventNotDeclared, match="Closed"):
        store.subscribe(types=other)


@pytest.fixture
async def shared(unique: Callable[[str], str]) -> AsyncIterator[str]:
    """A log that outlives a store."""
    name = unique("shared")
    yield f"memory://{name}"
    discard(name)


async def test_types_that_nobody_asked_for_are_not_decoded(shared: str) -> None:
    """S4: a store whose code does not know a type yet fails only those who ask for all types."""
    everything: EventStore[Event] = EventStore("accounts", events=[Opened, Deposited, Closed], log=shared)
    async with everything:
        await everything.append("a", [Opened(owner="ann"), Closed(), Deposited(cents=1)], expected=ANY)

    async with EventStore[Opened | Deposited]("accounts", events=[Opened, Deposited], log=shared) as store:
        found = await collect(store.subscribe(types=[Opened, Deposited], until_end=True))
        assert [each.version for each in found] == [0, 2]
        with pytest.raises(UnknownType, match=r"account\.closed.*missing in events=\[…\] of the store"):
            await collect(store.subscribe(until_end=True))


async def test_a_position_of_another_generation_of_the_topic_is_refused(shared: str) -> None:
    """S4: the topic was deleted and made again, so the same offsets mean other events."""
    store = EventStore[Opened | Deposited]("accounts", events=[Opened, Deposited], log=shared, partitions=1)
    async with store:
        appended = await store.append("a", deposits(1, 2), expected=NO_STREAM)
        (_, before) = await collect(store.subscribe(until_end=True))
        (_, read) = await collect(store.read("a"))
    log = open_log(shared)
    log.delete([f"accounts.{what}" for what in ("inbox", "events", "state")])
    log.close()

    async with store:
        await store.append("a", deposits(1, 2, 3), expected=NO_STREAM)
        for position in (before.position, read.position, appended.position):
            with pytest.raises(PositionRefused, match="deleted and made again, or this is another log") as refused:
                await collect(store.subscribe(after=Position.parse(str(position)), until_end=True))
            assert refused.value.position == position


async def test_a_position_beyond_the_end_is_refused(store: Accounts) -> None:
    """S4: the log was put back to an older copy; what comes at these offsets are other events."""
    appended = await store.append("a", deposits(1, 2), expected=NO_STREAM)
    ((partition, offset),) = appended.position.offsets
    beyond = Position.at(partition, offset + 5, appended.position.generation)

    with pytest.raises(PositionRefused, match=f"partition {partition} ends at {offset}"):
        await collect(store.subscribe(after=beyond, until_end=True))


async def test_a_position_before_what_the_log_still_has_is_refused(
    store: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S4: what lay between is gone. Without a position one begins with what there is."""
    for number in range(4):
        await store.append("a", deposits(number), expected=ANY)
    everything = await collect(store.subscribe(until_end=True))
    ((partition, second),) = (await collect(store.read("a", until=1)))[-1].position.offsets
    log = store._running().host.log
    real = log.start_positions

    def later(partitions: Any) -> dict[TopicPartition, int]:
        return {at: max(start, second * (at.partition == partition)) for at, start in real(partitions).items()}

    monkeypatch.setattr(log, "start_positions", later)

    with pytest.raises(PositionRefused, match=f"partition {partition} begins at {second}: the events between are gone"):
        await collect(store.subscribe(after=everything[0].position, until_end=True))
    assert len(await collect(store.subscribe(after=everything[1].position, until_end=True))) == 2
    assert len(await collect(store.subscribe(until_end=True))) == 2
