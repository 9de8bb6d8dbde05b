"""What outlives kill −9 of a process: whole lines, and where a subscriber goes on from."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from eventstore.store import EventStore
from tests.chaos.streams.history import Delivered, Recorder, Stalled, read_histories
from tests.chaos.streams.model import Noted
from tests.chaos.streams.subscriptions import file_of, last_position, subscribe
from tests.waiting import eventually_async


def test_half_a_line_is_not_continued(tmp_path: Path) -> None:
    """Who writes on begins behind the last whole line."""
    file = tmp_path / "0.subscriber.jsonl"
    file.write_bytes(b'{"e":"delivered","at":1,"events":[],"position":"2::0=1"}\n{"e":"deliv')

    recorder = Recorder(file)
    recorder.write(Delivered(2, [], "2::0=2"))
    recorder.close()

    assert [str(line) for line in read_histories(tmp_path).subscribers["0.subscriber"]] == [
        "Delivered(at=1, events=[], position='2::0=1')",
        "Delivered(at=2, events=[], position='2::0=2')",
    ]
    assert str(last_position(file)) == "2::0=2"


def test_a_history_without_a_subscriber_has_none(tmp_path: Path) -> None:
    """Files of callers are no subscribers'."""
    recorder = Recorder(tmp_path / "0.1.jsonl")
    recorder.write(Stalled(1, 2))
    recorder.close()

    assert read_histories(tmp_path).subscribers == {}
    assert file_of(tmp_path / "0.1.jsonl") == tmp_path / "0.subscriber.jsonl"


async def test_a_subscriber_goes_on_where_its_predecessor_was(tmp_path: Path) -> None:
    """Each event is in its file once, whenever it was cancelled."""
    file, given = tmp_path / "0.subscriber.jsonl", list[str]()
    async with EventStore[Noted]("chaos", events=[Noted], log="memory://") as store:
        for number in range(4):
            await store.append("s", [Noted(content=str(number), place=0, of=1)], expected=number - 1)
            subscriber = asyncio.create_task(subscribe(store, file, "seed"))
            await eventually_async(partial(_are_given, tmp_path, number + 1))
            subscriber.cancel()
            await asyncio.gather(subscriber, return_exceptions=True)
        given = _given(tmp_path)

    assert given == ["0#0/1", "1#0/1", "2#0/1", "3#0/1"]


def _are_given(folder: Path, count: int) -> bool:
    return len(_given(folder)) >= count


def _given(folder: Path) -> list[str]:
    lines = read_histories(folder).delivered()
    return [name for line in (lines[0] if lines else []) for _, _, name in line.events]
