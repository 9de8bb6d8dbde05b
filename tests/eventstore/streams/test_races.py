"""S1 where it matters: processes race on one stream, on a real Kafka and on an embedded log that they share.

`RACING_APPENDS=100000`, or `RACING_TRIES=100000` for callers of one process, makes it a long one. On Kafka the process
that owns the stream wins nearly always, so the other one, 20 ms away, appends most of its part afterwards.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from eventstore.errors import AskTimedOut, WrongExpectedVersion
from tests.eventstore.streams.accounts import collect, deposits
from tests.eventstore.streams.hosts import child, hosting, store_named
from tests.waiting import eventually_async

APPENDS = int(os.environ.get("RACING_APPENDS", "200"))
"""Of all processes together."""
PROCESSES = 2
TRIES = int(os.environ.get("RACING_TRIES", "3000"))
"""Of all callers of one process, those that lose included."""
CALLERS = 64


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A log that several processes use."""
    if request.param == "kafka":
        return f"kafka://{request.getfixturevalue('kafka')}"
    return f"embedded://{tmp_path / 'log'}"


@pytest.mark.timeout(120 + APPENDS // 40)
async def test_of_racing_processes_one_wins_each_version(
    url: str, unique: Callable[[str], str], tmp_path: Path
) -> None:
    """Each version is won once, by the process that says so; there is no gap, no fork, and somebody did lose."""
    name, count = unique("accounts"), str(APPENDS // PROCESSES)
    outputs = [tmp_path / f"{slot}.out" for slot in range(PROCESSES)]
    with ExitStack() as racing:
        for slot, output in enumerate(outputs):
            role = "guest" if slot and url.startswith("embedded") else "race"  # one process owns an embedded folder
            arguments = (role, url, name, str(slot), str(output))
            racing.enter_context(child(*arguments, output=tmp_path / f"{slot}.log", COUNT=count))
            await eventually_async(output.exists, 60)
        await eventually_async(lambda: all(map(_is_done, outputs)), 60 + APPENDS / 50)
        store = store_named(name)
        async with hosting(store, url, slot="reader", owns=False):
            read = [(each.version, each.metadata.commit) for each in await collect(store.read("a", consistent=True))]

    won = [[int(line) for line in output.read_text().splitlines()[:-1]] for output in outputs]
    assert sorted(version for one in won for version in one) == list(range(APPENDS))
    assert [version for version, _ in read] == list(range(APPENDS))
    assert len({commit for _, commit in read}) == APPENDS
    assert sum(int(output.read_text().split()[-1]) for output in outputs) > 0


@pytest.mark.timeout(120 + TRIES // 100)
async def test_of_racing_callers_one_wins_each_version(url: str, unique: Callable[[str], str]) -> None:
    """64 callers of one process, each at the version that it saw last: most lose, and nothing is lost."""
    store, tries, won = store_named(unique("accounts")), 0, list[int]()

    async def write(caller: int) -> None:
        nonlocal tries
        version, number = -1, 0
        while tries < TRIES:
            tries += 1
            try:
                commit = f"{caller}-{number}"
                version = (await store.append("a", deposits(caller), expected=version, commit_id=commit)).version
                won.append(version)
                number += 1
            except AskTimedOut:
                continue
            except WrongExpectedVersion as behind:
                version = behind.actual if isinstance(behind.actual, int) else -1

    async with hosting(store, url):
        await asyncio.gather(*map(write, range(CALLERS)))
        read = [each.version for each in await collect(store.read("a", consistent=True))]

    assert sorted(won) == read == list(range(len(won)))
    assert len(won) < tries


def _is_done(output: Path) -> bool:
    return output.exists() and "lost" in output.read_text()[-40:]
