"""The checker finds what happens when one protection is taken out of an owner; with all of them in, nothing is found.

On a real Kafka. What is taken out is in `tests.chaos.streams.planted`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from eventstore.testing.proxy import END_TXN, KafkaProxy
from schemas import Event
from tests.chaos.streams.alarms import Disarmed
from tests.chaos.streams.history import NO_STREAM
from tests.chaos.streams.scene import PATIENCE, Owner, Scene, scene
from tests.chaos.streams.violations import Rule
from tests.waiting import eventually_async

pytestmark = pytest.mark.timeout(180)
ALARM_MS = 4_000
"""Longer than an owner needs to leave."""


@pytest.fixture
async def stage(kafka: str, unique: Callable[[str], str], tmp_path: Path) -> AsyncIterator[Scene]:
    """A store of the test's own."""
    async with scene(kafka, unique("planted"), tmp_path) as made:
        yield made


@pytest.mark.parametrize("planted", ["", "K2", "K3"], ids=["rules", "without K2", "without K3"])
async def test_an_owner_that_was_replaced_commits_nothing(stage: Scene, planted: str) -> None:
    """K2, K3: stopped between decision and transaction, replaced, woken up: whom nobody fences forks the stream."""
    old = stage.owner("old", planted=planted)
    await stage.append()
    waiting = list[asyncio.Task[object]]()
    await old.halt_at_next_append(lambda: waiting.append(asyncio.create_task(stage.append())))
    stage.owner("new")
    await asyncio.gather(*waiting)
    assert (await stage.append()).version == 2

    old.wake()

    if planted:
        await eventually_async(lambda: _breaks(stage, {Rule.VERSIONS, Rule.ONCE}), PATIENCE)
    else:
        await old.says("batch_aborted", "outcome_unknown")
        assert (await stage.append()).outcome == "ok"
        assert (await stage.verdict()).violations == []


async def test_a_successor_that_keeps_all_rules(stage: Scene) -> None:
    """K4, K8, K9, E2: what the tests below do with one rule taken out, with all of them in."""
    old = stage.owner("old")
    done = await stage.append()
    await stage.client.repeat(done.invoke)
    key = await _alarm_without_owner(stage, old)

    stage.owner("new", planted="K4-MARKERS")
    await stage.append()
    await _use_what_was_erased(stage)

    await eventually_async(lambda: _has(stage, key, Disarmed), PATIENCE)
    assert (await stage.verdict()).violations == []


async def test_a_successor_knows_what_was_committed(stage: Scene) -> None:
    """K4: while markers are on their way, who restores to the committed end serves a stream as it was before."""
    old = stage.owner("old")
    for _ in range(3):
        await stage.append()
    await old.leave()

    stage.owner("new", planted="K4-MARKERS,K4")
    await stage.append()

    assert (await stage.verdict()).rules >= {Rule.VERSIONS}


@pytest.mark.parametrize("planted", ["", "K6"], ids=["rule", "without K6"])
async def test_a_commit_of_unknown_outcome_is_looked_up(stage: Scene, planted: str) -> None:
    """K6: cut off after the broker obeyed; who takes that for a failure writes the same versions again."""
    with KafkaProxy(stage.kafka) as proxy:
        stage.owner("owner", planted=planted, url=f"kafka://{proxy.bootstrap}")
        await stage.append()
        cuts = [proxy.cut(END_TXN, "unanswered") for _ in range(3)]
        while not all(cut.happened.is_set() for cut in cuts):
            await stage.append()

        verdict = await stage.verdict()
        assert verdict.rules >= {Rule.VERSIONS, Rule.ONCE} if planted else verdict.violations == []


async def test_a_repeat_is_recognised(stage: Scene) -> None:
    """K8: a repeat under the same commit id that nobody recognises is appended again."""
    stage.owner("owner", planted="K8")
    done = await stage.append()

    await stage.client.repeat(done.invoke)

    assert (await stage.verdict()).rules >= {Rule.ONCE, Rule.REPEATS}


async def test_a_timer_does_not_overtake_what_waited(stage: Scene) -> None:
    """K9: the end of an alarm is in the inbox before its time, and nobody is there; the next owner does not read it."""
    old = stage.owner("old")
    await stage.append()
    await _alarm_without_owner(stage, old)

    stage.owner("new", planted="K9")

    await eventually_async(lambda: _breaks(stage, {Rule.TIMERS}), PATIENCE)


@pytest.mark.parametrize(
    ("planted", "broken"), [("E2", Rule.LINEARIZABLE), ("E2-VERSIONS", Rule.VERSIONS)], ids=["forgotten", "from 0"]
)
async def test_a_successor_knows_what_was_erased(stage: Scene, planted: str, broken: Rule) -> None:
    """E2: a deletion that is forgotten at take-over refuses a new beginning, or has versions used again."""
    old = stage.owner("old")
    await stage.append(count=3)
    await stage.erase()
    await old.leave()

    stage.owner("new", planted=planted)
    await _use_what_was_erased(stage)

    assert broken in (await stage.verdict()).rules


async def _alarm_without_owner(stage: Scene, old: Owner) -> str:
    """An alarm whose time has come, and whose end has waited in the inbox for longer. A stream is erased, too."""
    await stage.erase()
    due_ms = time.time_ns() // 1_000_000 + ALARM_MS
    key = await stage.alarm(due_ms)
    await old.leave()
    await stage.alarms.disarm(key)
    await eventually_async(lambda: time.time_ns() // 1_000_000 > due_ms, PATIENCE)
    return key


async def _use_what_was_erased(stage: Scene) -> None:
    await stage.client.append("s", expected=NO_STREAM)
    await stage.client.read("s", consistent=True)


async def _has(stage: Scene, alarm: str, what: type[Event]) -> bool:
    found = (await stage.final()).alarms[alarm]
    return what.__type_name__ in [each.what for each in found]


async def _breaks(stage: Scene, rules: set[Rule]) -> bool:
    return (await stage.verdict()).rules >= rules
