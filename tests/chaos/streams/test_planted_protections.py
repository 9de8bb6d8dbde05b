"""The checker finds what happens when one protection is taken out of an owner; with all of them in, nothing is found.

Each test does the same twice, on a real Kafka. What is taken out is in `tests.chaos.streams.planted`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from eventstore.testing.proxy import END_TXN, KafkaProxy
from tests.chaos.streams.scene import PATIENCE, Scene, scene
from tests.chaos.streams.violations import Rule
from tests.waiting import eventually_async

pytestmark = pytest.mark.timeout(180)


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


@pytest.mark.parametrize("planted", ["", "K4"], ids=["rule", "without K4"])
async def test_a_successor_knows_what_was_committed(stage: Scene, planted: str) -> None:
    """K4: while markers are on their way, who restores to the committed end serves a stream as it was before."""
    old = stage.owner("old")
    for _ in range(3):
        await stage.append()
    await old.leave()

    stage.owner("new", planted=f"K4-MARKERS,{planted}")
    await stage.append()

    verdict = await stage.verdict()
    assert verdict.rules >= {Rule.VERSIONS} if planted else verdict.violations == []


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


@pytest.mark.parametrize("planted", ["", "K8"], ids=["rule", "without K8"])
async def test_a_repeat_is_recognised(stage: Scene, planted: str) -> None:
    """K8: a repeat under the same commit id that nobody recognises is appended again."""
    stage.owner("owner", planted=planted)
    done = await stage.append()

    await stage.client.repeat(done.invoke)

    verdict = await stage.verdict()
    assert verdict.rules >= {Rule.ONCE, Rule.REPEATS} if planted else verdict.violations == []


async def _breaks(stage: Scene, rules: set[Rule]) -> bool:
    return (await stage.verdict()).rules >= rules
