"""Appending to streams: expected versions, commit ids, limits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from eventstore.errors import CommitIdReused, EventNotDeclared, NotRunning, TooManyEvents, WrongExpectedVersion
from eventstore.expected import ANY, NO_STREAM, STREAM_EXISTS, Expected
from eventstore.reading import Streams
from eventstore.store import EventStore
from schemas import Personal
from tests.eventstore.shredded import ADA, CustomerRegistered
from tests.eventstore.streams.accounts import Closed, Deposited, Opened, accounts, collect, deposits

Accounts = EventStore[Opened | Deposited]


async def test_versions_count_from_zero(store: Accounts) -> None:
    """The version returned is that of the last event."""
    first = await store.append("a", deposits(1), expected=NO_STREAM)
    second = await store.append("a", deposits(2, 3), expected=0)

    assert (first.version, second.version) == (0, 2)
    assert [r.version async for r in store.read("a")] == [0, 1, 2]


@pytest.mark.parametrize("expected", [NO_STREAM, -1, 0, 2])
async def test_a_stream_that_is_elsewhere_takes_nothing(store: Accounts, expected: int | Expected) -> None:
    """The loser learns the current version."""
    await store.append("a", deposits(1, 2), expected=NO_STREAM)

    with pytest.raises(WrongExpectedVersion) as lost:
        await store.append("a", deposits(3), expected=expected)

    assert lost.value.actual == 1
    assert len(await collect(store.read("a"))) == 2


@pytest.mark.parametrize("expected", [0, STREAM_EXISTS])
async def test_an_expected_stream_that_is_not_there(store: Accounts, expected: int | Expected) -> None:
    """`actual` says that there is none."""
    with pytest.raises(WrongExpectedVersion) as lost:
        await store.append("a", deposits(3), expected=expected)

    assert lost.value.actual is NO_STREAM


async def test_any_and_stream_exists_take_whatever_version_there_is(store: Accounts) -> None:
    """ANY also makes the stream."""
    await store.append("a", deposits(1), expected=ANY)
    await store.append("a", deposits(1), expected=ANY)

    assert (await store.append("a", deposits(1), expected=STREAM_EXISTS)).version == 2


async def test_a_repeat_under_a_commit_id_returns_the_first_result(store: Accounts) -> None:
    """E1, K8: a caller that does not know what happened repeats, whatever happened since."""
    first = await store.append("a", deposits(1, 2), expected=NO_STREAM, commit_id="c")
    await store.append("a", deposits(3), expected=1)

    again = await store.append("a", deposits(1, 2), expected=NO_STREAM, commit_id="c")

    assert again.version == first.version
    assert again.position.covers(first.position)
    assert len(await collect(store.read("a"))) == 3


async def test_a_commit_id_with_other_content_is_refused_by_name(store: Accounts) -> None:
    """Nothing is appended."""
    await store.append("a", deposits(1), expected=NO_STREAM, commit_id="c")

    with pytest.raises(CommitIdReused, match="'c'"):
        await store.append("a", deposits(2), expected=ANY, commit_id="c")

    assert len(await collect(store.read("a"))) == 1


async def test_a_commit_id_belongs_to_its_stream(store: Accounts) -> None:
    """The same id elsewhere is another commit."""
    await store.append("a", deposits(1), expected=NO_STREAM, commit_id="c")
    await store.append("b", deposits(2), expected=NO_STREAM, commit_id="c")

    assert [r.event.cents async for r in store.read("b") if isinstance(r.event, Deposited)] == [2]


async def test_a_lost_race_leaves_its_commit_id_free(store: Accounts) -> None:
    """Nothing happened, so the caller decides again and appends under the same id."""
    await store.append("a", deposits(1), expected=NO_STREAM)
    with pytest.raises(WrongExpectedVersion):
        await store.append("a", deposits(2), expected=NO_STREAM, commit_id="c")

    assert (await store.append("a", deposits(2), expected=0, commit_id="c")).version == 1


async def test_of_racing_writers_one_wins_each_version(store: Accounts) -> None:
    """S1: versions have no gaps, and who lost knows it."""

    async def write(writer: int) -> int:
        won = 0
        for _ in range(10):
            version = len(await collect(store.read("a"))) - 1
            try:
                await store.append("a", deposits(writer), expected=version)
            except WrongExpectedVersion:
                continue
            won += 1
        return won

    won = await asyncio.gather(*map(write, range(8)))

    versions = [recorded.version async for recorded in store.read("a")]
    assert versions == list(range(sum(won)))
    assert sum(won) >= 10


async def test_the_position_is_after_the_events(store: Accounts, streams: Streams[Opened | Deposited]) -> None:
    """Whoever has read up to it has seen them."""
    appended = await store.append("a", deposits(1, 2), expected=NO_STREAM)

    last = (await collect(streams.read("a")))[-1]

    assert appended.position.covers(last.position)


async def test_an_append_of_nothing_is_refused(store: Accounts) -> None:
    """It has no version to return."""
    with pytest.raises(ValueError, match="no events"):
        await store.append("a", [], expected=ANY)


@pytest.mark.parametrize("stream", ["", "a\0b", "a" * 501])
async def test_a_stream_id_is_checked_before_anything_is_sent(store: Accounts, stream: str) -> None:
    """Also by reads."""
    with pytest.raises(ValueError, match="stream id"):
        await store.append(stream, deposits(1), expected=ANY)
    with pytest.raises(ValueError, match="stream id"):
        store.read(stream)


async def test_impossible_arguments_are_refused(store: Accounts) -> None:
    """A version below −1, an empty commit id."""
    with pytest.raises(ValueError, match="no version"):
        await store.append("a", deposits(1), expected=-2)
    with pytest.raises(ValueError, match="commit id"):
        await store.append("a", deposits(1), expected=ANY, commit_id="")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("a", Deposited(cents=1), NO_STREAM), r"a: an append takes a list of events, .* give \[Deposited\(…\)\]"),
        (("a", "text", NO_STREAM), r"takes a list of events, and got one str: give \[event, …\]"),
        (("a", deposits(1), None), r"expected=None is no version: give one from 0, an int, or NO_STREAM"),
        (("a", deposits(1), "5"), r"expected='5' is no version: give one from 0, an int"),
        (("a", deposits(1), True), r"expected=True is no version"),
        (("a", [Deposited], NO_STREAM), r"got the class Deposited: give objects of it, Deposited\(…\)"),
        (("a", [{"cents": 1}], NO_STREAM), r"takes events, and got one dict: give objects of events' classes"),
        ((5, deposits(1), NO_STREAM), r"a stream id is a str, such as 'account-5', and not int"),
    ],
)
async def test_arguments_of_other_types_are_refused_by_name(
    store: Accounts, arguments: tuple[Any, Any, Any], why: str
) -> None:
    """The error says what to pass; nothing was sent."""
    stream, events, expected = arguments

    with pytest.raises(TypeError, match=why):
        await store.append(stream, events, expected=expected)

    assert await collect(store.read("a")) == []


@pytest.mark.parametrize("number", [2**63, 2**64, 10**30])
async def test_what_no_version_can_be_is_refused_by_writes(owner: Accounts, guest: Accounts, number: int) -> None:
    """At home and from elsewhere, before anything is sent; the greatest version is only not the stream's."""
    await owner.append("a", deposits(1), expected=NO_STREAM)

    for store in (owner, guest):
        for writing in (
            store.append("a", deposits(1), expected=number),
            store.delete("a", expected=number),
            store.truncate("a", before=1, expected=number),
            store.truncate("a", before=number, expected=ANY),
            store.truncate("a", before=-number, expected=ANY),
        ):
            with pytest.raises(ValueError, match=rf"{number} is no version: give .* 2\*\*63 - 1"):
                await writing
        for writing in (
            store.append("a", deposits(1), expected=2**63 - 1),
            store.delete("a", expected=2**63 - 1),
        ):
            with pytest.raises(WrongExpectedVersion, match="found version 0"):
                await writing
    assert len(await collect(guest.read("a"))) == 1
    assert (await guest.truncate("a", before=2**63 - 1, expected=ANY)).first == 1


async def test_half_a_surrogate_pair_is_no_commit_id(store: Accounts) -> None:
    """As it is no stream id; nothing was sent."""
    for writing in (
        store.append("a", deposits(1), expected=ANY, commit_id="\ud800"),
        store.delete("a", expected=ANY, commit_id="\ud800"),
    ):
        with pytest.raises(ValueError, match=r"a: commit id '\\ud800' cannot be written in UTF-8: remove its lone"):
            await writing

    assert await collect(store.read("a")) == []


async def test_a_commit_id_that_is_no_text_is_refused(store: Accounts) -> None:
    """It would stand for the text of it, too."""
    number: Any = 5
    for writing in (
        store.append("a", deposits(1), expected=ANY, commit_id=number),
        store.delete("a", expected=ANY, commit_id=number),
    ):
        with pytest.raises(TypeError, match="a: commit_id=5 is no str: give a text that only this commit has, or None"):
            await writing

    assert await collect(store.read("a")) == []


async def test_what_is_no_aggregate_is_not_loaded(store: Accounts) -> None:
    """The error says what to give."""
    other: Any = int

    with pytest.raises(TypeError, match="<class 'int'> is no aggregate: give its class, such as Account"):
        await store.load(other, "a")


async def test_arguments_are_refused_before_personal_data_is_sealed() -> None:
    """A store with personal data says the same."""
    ada, number = CustomerRegistered(customer_id="ada", name=Personal(ADA)), 5
    alone: Any = ada
    strange: Any = [ada, number]

    async with EventStore("shredded", events=[CustomerRegistered], log="memory://") as store:
        with pytest.raises(TypeError, match=r"give \[CustomerRegistered\(…\)\]") as refused:
            await store.append("a", alone, expected=NO_STREAM)
        with pytest.raises(TypeError, match="an append takes events, and got one int: give objects of events' classes"):
            await store.append("a", strange, expected=NO_STREAM)
    assert ADA not in str(refused.value)


async def test_a_write_without_what_it_expects_names_what_there_is(store: Accounts) -> None:
    """As one that expects what is no version does; type checkers see that it is missing."""
    writes: Any = store
    for name, arguments in (("append", ("a", deposits(1))), ("delete", ("a",)), ("truncate", ("a",))):
        with pytest.raises(TypeError, match=rf"EventStore\.{name} has no expected=: .* an int, or NO_STREAM, .* ANY;"):
            await getattr(writes, name)(*arguments)


async def test_a_version_to_truncate_before_is_a_version(store: Accounts) -> None:
    """Also where a number was read as text."""
    wrong: Any = "1"

    with pytest.raises(ValueError, match="before='1' is no version"):
        await store.truncate("a", before=wrong, expected=ANY)


async def test_an_event_of_another_type_is_refused(store: Accounts) -> None:
    """Readers of the store could not decode it."""
    other: list[Deposited] = [Closed()]  # type: ignore[list-item] # what is tested

    with pytest.raises(EventNotDeclared, match="Closed"):
        await store.append("a", other, expected=ANY)


async def test_a_thousand_events_are_one_append_and_more_are_refused(store: Accounts) -> None:
    """All or none."""
    assert (await store.append("a", deposits(*range(1000)), expected=NO_STREAM)).version == 999

    with pytest.raises(TooManyEvents, match="1,001"):
        await store.append("a", deposits(*range(1001)), expected=ANY)


async def test_a_store_that_does_not_run_says_so() -> None:
    """The message says what to do."""
    store = accounts()

    with pytest.raises(NotRunning, match="async with"):
        await store.append("a", deposits(1), expected=ANY)
    with pytest.raises(NotRunning):
        store.read("a")


def test_a_store_needs_a_name_and_events() -> None:
    """The name becomes part of topics' names."""
    with pytest.raises(ValueError, match="a store cannot have this name"):
        EventStore("a b", events=[Deposited])
    with pytest.raises(ValueError, match="holds no events"):
        EventStore[Deposited]("a", events=[])


def test_a_store_of_one_type_takes_a_list_of_it() -> None:
    """The error says what to write."""
    alone: Any = Deposited

    with pytest.raises(TypeError, match=r"gate: events=Deposited is one type, .*: events=\[Deposited\]"):
        EventStore("gate", events=alone)


async def test_a_store_alone_needs_a_log_and_runs_once() -> None:
    """A service's store has none."""
    with pytest.raises(ValueError, match="without a log"):
        async with EventStore("a", events=[Deposited]):
            pytest.fail("it ran")
    async with accounts() as store:
        with pytest.raises(ValueError, match="runs already"):
            async with store:
                pytest.fail("it ran twice")
