"""The embedded engine survives kill −9 at any moment: nothing acknowledged is lost, no unit is split.

SAGALOG_KILLS says how often (25 by default), SAGALOG_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from eventstore.log import Topic, TopicPartition, open_log

WRITER = Path(__file__).with_name("embedded_writer.py")
KILLS = int(os.environ.get("SAGALOG_KILLS", "25"))


def write_and_kill(url: str, lines: int, delay_s: float) -> dict[str, int]:
    """Let a process write, kill it some time after its n-th acknowledgement; the last numbers it told."""
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    process = subprocess.Popen([sys.executable, str(WRITER), url], stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    told: dict[str, int] = {}
    try:
        for _ in range(lines):
            kind, number = process.stdout.readline().split()
            told[kind.decode()] = int(number)
        threading.Event().wait(delay_s)
    finally:
        process.kill()
        rest = process.stdout.read()
        process.stdout.close()
        process.wait(10)
    for line in rest.split(b"\n")[:-1]:
        kind, number = line.split()
        told[kind.decode()] = int(number)
    return told


def check(url: str, told: dict[str, int]) -> None:
    """What was acknowledged is there, dense and in order; of each unit both sides and the position, or nothing."""
    log = open_log(url)
    try:
        log.create([Topic(name=name, partitions=1) for name in ("source", "single", "left", "right")])
        contents: dict[str, list[int]] = {}
        for topic in ("single", "left", "right"):
            place = TopicPartition(topic, 0)
            end, reader = log.end_positions([place])[place], log.reader({place: 0})
            found: list[int] = []
            while reader.position(place) < end:
                found += [int(record.value or b"") for record in reader.read(1_000, 1)]
            contents[topic] = found
        position = log.group_positions("writer", [TopicPartition("source", 0)])[TopicPartition("source", 0)]
    finally:
        log.close()
    units = position.offset if position else 0

    assert contents["single"] == list(range(len(contents["single"])))
    assert contents["left"] == contents["right"] == [unit for unit in range(units) for _ in range(unit % 7 + 1)]
    assert len(contents["single"]) > told.get("single", -1)
    assert units > told.get("unit", -1)


@pytest.mark.timeout(60 + 10 * KILLS)
def test_kill_9_loses_nothing_acknowledged_and_splits_no_unit(tmp_path: Path) -> None:
    """A writer is killed at random points, again and again on one folder; after each kill the log is whole."""
    seed = int(os.environ.get("SAGALOG_SEED", random.randrange(1 << 32)))
    print(f"SAGALOG_SEED={seed} SAGALOG_KILLS={KILLS}")
    chance = random.Random(seed)

    for _ in range(KILLS):
        url = f"embedded://{tmp_path}/log?fsync={chance.choice(('none', 'commit'))}"
        told = write_and_kill(url, chance.randrange(0, 120), chance.random() * 0.01)
        check(url, told)
