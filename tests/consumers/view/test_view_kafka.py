"""Views on a real Kafka: exact after kill −9, equal after a wipe, shared by processes, swapped without a gap."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest

from consumers.ownership import Counts, owners_of
from eventstore.log import open_log
from eventstore.log.port import Log
from eventstore.registry import TopicRegistry
from schemas import Serde
from tests.consumers.view.host import Process, Streams, child
from tests.consumers.view.run_view import totals
from tests.consumers.view.shop import Placed
from tests.waiting import eventually, eventually_async

EVENTS = 20_000
ORDERS = 500
CUSTOMERS = 20


class Bench:
    """A log, streams of orders, and what the rows should be."""

    def __init__(self, url: str, name: str, folder: Path, stack: ExitStack) -> None:
        self.url, self._stack, self.folder = url, stack, folder
        self.log: Log = open_log(url)
        stack.callback(self.log.close)
        self.serde = Serde(TopicRegistry(self.log), format="json")
        self.streams = Streams(self.log, self.serde, name)
        self.expected: Counter[str] = Counter()
        self.view: Any = totals(self.streams.topic)

    def fill(self, first: int, last: int) -> None:
        """Append the events of these numbers."""
        events = [
            (f"o{n % ORDERS}", Placed(order=f"o{n % ORDERS}", customer=f"c{n % CUSTOMERS}", cents=n))
            for n in range(first, last)
        ]
        self.streams.fill(events)
        self.expected.update({stream: 0 for stream, _ in events})
        for stream, event in events:
            self.expected[stream] += event.cents

    def child(self, slot: str) -> AbstractContextManager[subprocess.Popen[str]]:
        """A process that runs the view, killed at the end."""
        module, folder = "tests.consumers.view.run_view", str(self.folder / slot)
        return child(module, self.url, self.streams.topic, folder, slot)

    def reader(self) -> Process:
        """A process that hosts nothing and reads."""
        made = Process(self.log, self.serde).start()
        self._stack.callback(made.stop)
        return made

    async def rows(self, reader: Process) -> dict[str, int]:
        return {key: row.cents async for key, row in reader.tables.queryable(self.view.by_order).scan()}

    def fill_slowly(self) -> None:
        """Append all events, in parts."""
        for first in range(0, EVENTS, 1_000):
            self.fill(first, first + 1_000)

    def owners(self) -> set[str]:
        """The addresses that serve partitions now, if all are served."""
        view = self.view.__view__
        (found,) = owners_of(self.log, Counts(self.log), view, service="shop")
        is_whole = found.has_caught_up(self.streams.partitions, view.layout)
        return {note.address for note in found.notes.values()} if is_whole else set()

    async def moves(self, reader: Process) -> None:
        """Wait until the view serves rows."""

        async def serves() -> bool:
            return bool(await self.rows(reader))

        await eventually_async(serves, 40.0)

    async def agree(self, reader: Process, timeout: float = 40.0) -> None:
        """Wait until the rows are the fold of the topic, and check that the merged rows are too."""

        async def equal() -> bool:
            assert await self.rows(reader) == dict(self.expected)
            return True

        await eventually_async(equal, timeout)
        merged = [row async for _, row in reader.tables.queryable(self.view.by_customer).scan()]
        assert len(merged) == CUSTOMERS
        assert sum(row.cents for row in merged) == self.expected.total()


@pytest.fixture
def bench(kafka: str, unique: Callable[[str], str], tmp_path: Path) -> Iterator[Bench]:
    """A topic of this test's own."""
    with ExitStack() as stack:
        yield Bench(f"kafka://{kafka}", unique("orders"), tmp_path, stack)


async def test_rows_are_exact_after_kill_9_under_load(bench: Bench) -> None:
    """V2, V4: whatever the moment of the kill, each event counts once."""
    reader = bench.reader()
    load = threading.Thread(target=bench.fill_slowly)
    load.start()

    for _ in range(3):
        with bench.child("0"):
            await bench.moves(reader)
    load.join(60)

    with bench.child("0"):
        await bench.agree(reader)


async def test_a_wiped_folder_comes_back_equal(bench: Bench) -> None:
    """Rows hold nothing that the log does not."""
    bench.fill(0, EVENTS)
    reader = bench.reader()
    with bench.child("0"):
        await bench.agree(reader)

    shutil.rmtree(bench.folder / "0")

    with bench.child("0"):
        await bench.agree(reader)


async def test_processes_share_partitions_and_readers_see_all(bench: Bench) -> None:
    """Two owners, one reader that owns nothing; one owner is killed, and the other takes over within the session."""
    bench.fill(0, EVENTS)
    reader = bench.reader()
    with bench.child("0"):
        with bench.child("1"):
            eventually(lambda: len(bench.owners()) == 2, 30)
            await bench.agree(reader)
            bench.fill(EVENTS, EVENTS + 1_000)
            await bench.agree(reader)
        bench.fill(EVENTS + 1_000, EVENTS + 2_000)
        await bench.agree(reader)


async def test_a_new_version_takes_over_without_a_gap(bench: Bench) -> None:
    """V3: while version 2 is built and swapped in, every read is answered, with all that version 1 knew."""
    bench.fill(0, EVENTS)
    reader = bench.reader()
    with ExitStack() as stack:
        stack.enter_context(bench.child("0"))
        await bench.agree(reader)
        newer: Any = totals(bench.streams.topic, version=2)
        new = Process(bench.log, bench.serde, newer, slot="1").start()
        try:
            rows, answered = reader.tables.queryable(newer.by_order), 0
            while not new.loops[0].is_ready() or answered < 100:
                row = await rows.get("o1")
                assert row is not None
                assert row.cents == bench.expected["o1"]
                answered += 1
            stack.close()
            await bench.agree(reader)
        finally:
            new.stop()
