"""What the index says of an event's place in the log, which is guessed while its batch is being committed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eventstore.expected import ANY
from eventstore.log.errors import TransactionAborted
from eventstore.processor.commits import Commits
from tests.eventstore.processor.counters import records_of
from tests.eventstore.streams.accounts import collect, deposits
from tests.eventstore.streams.hosts import hosting, store_named

STREAMS = [f"s{number}" for number in range(12)]


@pytest.mark.parametrize("engine", ["memory", "embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
async def test_events_know_their_offsets_whatever_came_between_batches(
    engine: str,
    request: pytest.FixtureRequest,
    unique: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Batches of several partitions, of one, units without any events, and one that was aborted by the broker."""
    urls = {"memory": lambda: f"memory://{unique('log')}", "embedded": lambda: f"embedded://{tmp_path / 'log'}"}
    url = urls[engine]() if engine in urls else f"kafka://{request.getfixturevalue('kafka')}"
    store, ends = store_named(unique("accounts")), list[bool]()
    aborted = _abort_the_fourth(monkeypatch)
    async with hosting(store, url):
        runtime: Any = store._running()
        for number in range(8):
            await asyncio.gather(*(store.append(name, deposits(1, 2), expected=ANY) for name in STREAMS))
            await store.append("s0", deposits(number), expected=ANY)
            if number == 5:
                await store.delete("s1", expected=ANY)
        records = {one.key: one.offset for one in records_of(runtime.host.log, f"{store.name}.events") if one.value}
        for name in STREAMS:
            for event in await collect(store.read(name)):
                ((_, offset),) = event.position.offsets
                ends.append(offset == records[f"{name}/{event.version}".encode()] + 1)

    assert aborted
    assert ends and all(ends)


def _abort_the_fourth(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of the fourth batch of events nothing happens, although its rows were made. Returns its number, then."""
    real, seen, aborted = Commits.commit, list[int](), list[int]()

    def commit(commits: Commits, batch: Any, *others: Any) -> Any:
        seen.extend([1] if len(others) > 2 else [])
        if len(seen) != 4 or aborted:
            return real(commits, batch, *others)
        aborted.append(len(seen))
        _, out, meanwhile = list(others)
        transactor = commits.transactor
        assert transactor is not None
        transactor.begin()
        transactor.produce_all(out)
        meanwhile()
        raise TransactionAborted("injected")

    monkeypatch.setattr(Commits, "commit", commit)
    return aborted
