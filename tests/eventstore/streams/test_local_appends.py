"""Appends of callers in the owner's process: the same outcome as over the log, also when commits end badly."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from eventstore.errors import CommitIdReused, WrongExpectedVersion
from eventstore.expected import ANY, NO_STREAM, STREAM_EXISTS
from eventstore.log import open_log
from eventstore.log.errors import OutcomeUnknown, TransactionAborted
from eventstore.log.partition import partition_of
from eventstore.log.records import Record
from eventstore.processor.commits import Commits
from eventstore.state.buffered import BufferedState
from eventstore.state.errors import StateError
from eventstore.store import EventStore
from schemas import Metadata
from schemas.metadata import Handled
from tests.eventstore.processor.counters import records_of
from tests.eventstore.streams.accounts import Deposited, Opened, collect, deposits
from tests.eventstore.streams.hosts import Accounts


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers that wait until a unit has started again, however slow the machine is."""
    monkeypatch.setattr("eventstore.writing.PATIENCE_SECONDS", 60.0)


@pytest.mark.parametrize("commit_id", [None, "c"])
async def test_the_log_has_the_same_as_of_an_append_from_elsewhere(
    owner: Accounts, guest: Accounts, log: str, commit_id: str | None
) -> None:
    """K1: key, value and metadata, but for ids that are made anew: both ways may be taken for one stream."""
    events: list[Opened | Deposited] = [Opened(owner="Zoë"), *deposits(1, -2)]
    await owner.append("own", events, expected=NO_STREAM, commit_id=commit_id)
    await guest.append("sent", events, expected=NO_STREAM, commit_id=commit_id)

    opened = open_log(log)
    records = records_of(opened, "accounts.events")
    opened.close()
    own, sent = ([each for each in records if (each.key or b"").startswith(name)] for name in (b"own/", b"sent/"))

    assert [each.value for each in own] == [each.value for each in sent]
    assert [_told(each) for each in own] == [_told(each) for each in sent]
    assert _metadata(own[0]).type == "account.opened"


def _metadata(record: Record) -> Metadata:
    [(name, content)] = record.headers
    assert name == "meta"
    metadata = Metadata.decode(content)
    assert metadata.encode() == content, "as if it was written from the object"
    return metadata


def _told(record: Record) -> tuple[object, ...]:
    """What the metadata says, with names in place of ids."""
    found = _metadata(record)
    names = {found.commit: "input", found.correlation: "asked"}
    done = found.done and Handled(step=0, input=names[found.done.input], answer=found.done.answer)
    place = found.id.removeprefix(found.commit)
    return place, found.type, names[found.correlation], names[found.causation], found.index, found.attributes, done


async def test_both_ways_see_each_others_commit_ids(owner: Accounts, guest: Accounts) -> None:
    """E1, K8: whichever way the first append took, a repeat by the other one gets its result."""
    first = await owner.append("a", deposits(1), expected=NO_STREAM, commit_id="c")
    second = await guest.append("a", deposits(2), expected=0, commit_id="d")

    assert (await guest.append("a", deposits(1), expected=ANY, commit_id="c")).version == first.version
    assert (await owner.append("a", deposits(2), expected=ANY, commit_id="d")).version == second.version
    with pytest.raises(CommitIdReused):
        await owner.append("a", deposits(7), expected=ANY, commit_id="d")
    assert [each.version for each in await collect(owner.read("a"))] == [0, 1]


async def test_appends_of_one_batch_build_on_each_other(store: EventStore[Opened | Deposited]) -> None:
    """S1: each sees the version that the one before it left, also of streams that were not known yet."""
    await store.append("warm", deposits(0), expected=ANY)

    ends = await asyncio.gather(
        store.append("a", deposits(1, 2), expected=NO_STREAM),
        store.append("a", deposits(3), expected=1),
        store.append("a", deposits(4), expected=1),
        store.append("a", deposits(5), expected=STREAM_EXISTS),
        store.delete("a", expected=3),
        store.append("a", deposits(6), expected=NO_STREAM),
        return_exceptions=True,
    )

    versions = [getattr(end, "version", None) for end in ends]
    assert versions == [1, 2, None, 3, None, 4]
    assert isinstance(ends[2], WrongExpectedVersion)
    assert [each.version for each in await collect(store.read("a"))] == [4]


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("ending", ["unknown, happened", "unknown, did not", "aborted"])
async def test_an_append_without_a_commit_id_happens_once_whatever_its_commit_ends_with(
    store: EventStore[Opened | Deposited], monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """K6, K8: it has an id all the same, by which the log tells whether it happened."""
    await store.append("a", deposits(0), expected=NO_STREAM)
    real, failures = Commits.commit, [ending]

    def commit(commits: Commits, *what: Any) -> Any:
        if not what[1:] or not failures:
            return real(commits, *what)
        failures.clear()
        if ending == "aborted":
            commits.transactor.begin()  # type: ignore[union-attr] # it is open
            raise TransactionAborted("injected")
        if ending == "unknown, happened":
            real(commits, *what)
        raise OutcomeUnknown("injected")

    monkeypatch.setattr(Commits, "commit", commit)
    ends = await asyncio.gather(*(store.append(f"s{n}", deposits(n), expected=NO_STREAM) for n in range(20)))

    assert not failures
    assert {end.version for end in ends} == {0}
    for number in range(20):
        assert [each.version for each in await collect(store.read(f"s{number}"))] == [0]


@pytest.mark.usefixtures("patience")
async def test_appends_that_are_committed_happen_once_though_not_all_states_could_be_written(
    store: EventStore[Opened | Deposited], monkeypatch: pytest.MonkeyPatch
) -> None:
    """K6: where the state has them, their callers are told at once; the others learn it from the log."""
    await store.append("warm", deposits(0), expected=ANY)
    real, writes = BufferedState.write, list[int]()

    def write(state: BufferedState, rows: Any) -> None:
        writes.append(len(rows))
        if len(writes) == 2:
            raise StateError("injected")
        real(state, rows)

    monkeypatch.setattr(BufferedState, "write", write)
    streams = [f"s{number}" for number in range(20)]
    ends = await asyncio.gather(*(store.append(stream, deposits(1), expected=ANY) for stream in streams))

    assert len({partition_of(stream, 4) for stream in streams}) == 4
    runtime: Any = store._running()
    assert runtime.metrics()["unit accounts"]["loop_failures_total"] == 1
    assert {end.version for end in ends} == {0}
    for stream in streams:
        assert len(await collect(store.read(stream))) == 1
