"""Appends of many bytes: each event up to the log's limit, from here and from afar."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from eventstore.errors import AppendTooLarge
from eventstore.expected import ANY, NO_STREAM
from eventstore.log.errors import MessageTooLarge
from eventstore.log.records import TopicPartition
from eventstore.processor.inputs import Input
from eventstore.processor.parts import KEPT_BYTES, KEPT_MS, Part, Parts, split, whole_of
from schemas import Metadata
from tests.eventstore.streams.accounts import Opened, collect
from tests.eventstore.streams.conftest import LIMIT
from tests.eventstore.streams.hosts import Accounts, hosting, store_named


@pytest.fixture(params=["here", "afar"])
async def writer(owner: Accounts, log: str, request: pytest.FixtureRequest) -> AsyncIterator[Accounts]:
    """The owner's store, or the same store in a process that owns nothing."""
    if request.param == "here":
        yield owner
        return
    store = store_named("accounts")
    async with hosting(store, log, slot="guest", owns=False):
        yield store


def _inbox_records(store: Accounts) -> int:
    log = store._running().host.log
    partitions = [TopicPartition("accounts.inbox", number) for number in range(4)]
    return sum(log.end_positions(partitions, isolation="uncommitted").values())


async def test_a_thousand_events_may_be_larger_than_a_record(owner: Accounts, writer: Accounts) -> None:
    """All or none: 5 MB on a log whose records hold 100 kB, under one commit id."""
    events = [Opened(owner=f"{number}" + "x" * 5_000) for number in range(1_000)]

    appended = await writer.append("a", events, expected=NO_STREAM, commit_id="c")
    again = await writer.append("a", events, expected=NO_STREAM, commit_id="c")

    assert appended.version == again.version == 999
    found = await collect(owner.read("a"))
    assert [each.event for each in found] == events
    assert {each.metadata.commit for each in found} == {found[0].metadata.commit}


async def test_each_event_may_be_as_large_as_a_record(owner: Accounts, writer: Accounts) -> None:
    """The largest that is taken is written, with all that surrounds it; a larger one is refused before it is sent."""
    stream = "a" * 500
    before = _inbox_records(owner)
    with pytest.raises(MessageTooLarge, match=r"accounts\.events") as large:
        await writer.append(stream, [Opened(owner="x" * LIMIT)], expected=ANY)
    assert _inbox_records(owner) == before

    largest = LIMIT - (large.value.size_bytes - LIMIT)
    await writer.append(stream, [Opened(owner="x" * largest)] * 3, expected=ANY)

    assert LIMIT - largest < 2_048
    assert len(await collect(owner.read(stream))) == 3
    with pytest.raises(MessageTooLarge):
        await writer.append(stream, [Opened(owner="x" * (largest + 1))], expected=ANY)


async def test_an_append_that_is_too_large_altogether_is_refused_before_it_is_sent(
    owner: Accounts, writer: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner has all of it in memory."""
    monkeypatch.setattr("eventstore.appending.BYTES_PER_APPEND", 10_000)
    before = _inbox_records(owner)

    with pytest.raises(AppendTooLarge, match="at most 10,000"):
        await writer.append("a", [Opened(owner="x" * 2_000)] * 6, expected=ANY)

    assert _inbox_records(owner) == before


def _item(part: Part, correlation: str = "q") -> Input:
    return Input("a", part, Metadata(id="i", correlation=correlation))


def test_parts_make_a_whole_however_often_they_come() -> None:
    """K6: those of an aborted batch come again, the last one too."""
    parts, data = Parts(), bytes(range(256)) * 40
    pieces = split(data, "a", 4_096)
    assert len(pieces) > 3

    for piece in [*pieces[:-1], *pieces[1:-1]]:
        assert parts.add(_item(piece), piece, 0) is None
    assert parts.add(_item(pieces[-1]), pieces[-1], 0) == data
    assert parts.add(_item(pieces[-1]), pieces[-1], 0) == data

    parts.forget([whole_of(_item(pieces[-1]))])
    assert parts.add(_item(pieces[-1]), pieces[-1], 0) is None


def test_parts_of_two_attempts_do_not_mix() -> None:
    """A repeat under the same id has another correlation."""
    parts = Parts()
    first, second = split(bytes(3_000), "a", 4_096)[:2]

    assert parts.add(_item(first, "once"), first, 0) is None
    assert parts.add(_item(second, "again"), second, 0) is None


def test_parts_whose_rest_does_not_come_are_forgotten() -> None:
    """After a minute, or when they are too many."""
    parts = Parts()
    half = Part(number=0, of=2, data=b"x")
    parts.add(_item(half, "old"), half, 0)
    parts.add(_item(half, "new"), half, KEPT_MS + 1)
    assert [whole[1] for whole in parts._gathered] == ["new"]

    large = Part(number=0, of=2, data=bytes(KEPT_BYTES // 2))
    for correlation in "abc":
        parts.add(_item(large, correlation), large, KEPT_MS + 1)
    assert [whole[1] for whole in parts._gathered] == ["b", "c"]
