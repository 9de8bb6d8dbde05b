"""Subscribers that stop and go on, and what they must have been given.

A subscriber writes what it was given and where it goes on from in one line, so that both outlive kill −9 or neither.
The next incarnation of its process goes on from the last line that is there.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from random import Random

from eventstore.errors import EventStoreError, PositionRefused
from eventstore.store import EventStore
from eventstore.streams import Position
from tests.chaos.streams.history import Delivered, Recorder, Refused, now, whole_lines
from tests.chaos.streams.log_scan import Final
from tests.chaos.streams.model import Noted, label
from tests.chaos.streams.violations import Rule, Violation, violated

LINE_SECONDS = 0.1
"""How often a line is written while events come."""
AT_ONCE_SECONDS = (0.5, 15.0)
"""How long a subscription lasts until it is closed and resumed."""


def file_of(history: Path) -> Path:
    """The file of a slot's subscriber: one for all incarnations. `history`: of one of them, `SLOT.N.jsonl`."""
    return history.with_name(f"{slot_of(history)}.subscriber.jsonl")


def slot_of(history: Path) -> str:
    """Whose file it is."""
    return history.name.split(".")[0]


def last_position(file: Path) -> Position | None:
    """Where the subscriber whose file this is goes on from."""
    lines = list(whole_lines(file.read_bytes())) if file.exists() else []
    known = [line.position for line in lines if isinstance(line, Delivered)]
    return Position.parse(known[-1]) if known else None


async def subscribe(store: EventStore[Noted], file: Path, seed: str) -> None:
    """Go on for ever, in subscriptions that are closed and resumed."""
    position, chance, recorder = last_position(file), Random(seed), Recorder(file)
    try:
        while True:
            until = asyncio.get_running_loop().time() + chance.uniform(*AT_ONCE_SECONDS)
            try:
                position = await _take(store, recorder, position, until)
            except PositionRefused as error:
                recorder.write(Refused(now(), str(error)))
                return
            except EventStoreError:
                await asyncio.sleep(0.5)
                position = last_position(file)
    finally:
        recorder.close()


async def _take(store: EventStore[Noted], recorder: Recorder, after: Position | None, until: float) -> Position | None:
    """One subscription; returns where to go on from."""
    loop, taken, written = asyncio.get_running_loop(), list[tuple[str, int, str]](), 0.0
    position = after
    async with aclosing(store.subscribe(after=after)) as events:
        async for recorded in events:
            taken.append((recorded.stream, recorded.version, label(recorded.event)))
            if loop.time() - written > LINE_SECONDS:
                position, written = recorded.position, loop.time()
                recorder.write(Delivered(now(), taken, str(position)))
                taken = []
            if loop.time() > until:
                break  # what was taken since the last line is not kept, and comes again
    return position


def check_subscriptions(subscribers: Mapping[str, Sequence[Delivered | Refused]], final: Final) -> Iterator[Violation]:
    """Each event once, in order per stream; all that the position covers, but what is erased."""
    for name, lines in subscribers.items():
        given = defaultdict[str, list[tuple[int, str]]](list)
        for line in lines:
            if isinstance(line, Refused):
                yield violated(Rule.SUBSCRIBED, f"{name} could not go on: {line.error}")
                continue
            for stream, version, event in line.events:
                given[stream].append((version, event))
        positions = [line.position for line in lines if isinstance(line, Delivered)]
        position = Position.parse(positions[-1]) if positions else Position()
        for stream in {*given, *final.streams}:
            yield from _check_stream(name, stream, given[stream], position, final)


def _check_stream(
    name: str, stream: str, given: Sequence[tuple[int, str]], position: Position, final: Final
) -> Iterator[Violation]:
    logged, what = final.streams.get(stream, []), f"{name} of {stream}"
    versions = [version for version, _ in given]
    if versions != sorted(set(versions)):
        wrong = [after for before, after in pairwise(versions) if after <= before]
        yield violated(Rule.SUBSCRIBED, f"{what}: versions {wrong[:5]} came again, or out of order")
    names = {event.version: event.label for event in logged}
    other = [pair for pair in given if names.get(pair[0]) != pair[1]]
    if other:
        yield violated(Rule.SUBSCRIBED, f"{what}: events {other[:3]} are not in the log at these versions")
    first, had = max((one.first for one in final.erasures.get(stream, [])), default=0), set(versions)
    due = [event.version for event in logged if event.offset < position.offset(event.partition)]
    missing = [version for version in due if version >= first and version not in had]
    if missing:
        yield violated(Rule.SUBSCRIBED, f"{what}: versions {missing[:5]} were left out")
