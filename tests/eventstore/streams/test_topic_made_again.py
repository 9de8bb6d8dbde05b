"""Subscriptions to a store whose topic is deleted and made again while they run, on all engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import ExitStack, aclosing, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from eventstore import scanning, topic_identity
from eventstore.clock import ManualClock
from eventstore.errors import PositionRefused
from eventstore.expected import ANY
from eventstore.log import Log, open_log
from eventstore.log.errors import BrokerUnreachable, TopicMissing
from eventstore.log.memory import discard
from eventstore.log.records import Record, Topic, TopicDescription, TopicPartition
from eventstore.process_host import ProcessHost, make_host
from eventstore.store import EventStore
from eventstore.subscribing import Subscription
from eventstore.topic_identity import LOOK_SECONDS, MISSES
from tests.eventstore.streams.accounts import Deposited, Opened, deposits
from tests.waiting import eventually

WAIT_S = 30.0


class Ground:
    """A store with three events in one partition that nobody owns any more, and a process that may subscribe to it."""

    def __init__(self, log: Log, name: str, clock: ManualClock | None = None) -> None:
        self.log, self.topic, self.clock = log, f"{name}.events", clock
        self.host: ProcessHost = make_host("reader", log, state="memory://", clock=clock)
        at = TopicPartition(self.topic, 0)
        self.host.serde.register([Opened, Deposited])
        ends, reader = log.end_positions([at]), log.reader({at: 0})
        self._records: list[Record] = []
        while reader.position(at) < ends[at]:
            self._records += reader.read(10, 0.1)
        reader.close()

    @asynccontextmanager
    async def following(self, *, seen: int = 3, until_end: bool = False) -> AsyncGenerator[AsyncGenerator[Any, None]]:
        """A subscription from the start that has shown so many events."""
        events = Subscription[Any](self.host, self.topic).events(None, until_end=until_end)
        async with asyncio.timeout(WAIT_S), aclosing(events):
            for _ in range(seen):
                await anext(events)
            yield events

    def make_again(self, events: int) -> None:
        """The same name, with other events."""
        before = self.log.describe([self.topic])[self.topic].id
        self.log.delete([self.topic])
        self.log.create([Topic(name=self.topic, partitions=1)])
        eventually(lambda: self.log.describe([self.topic])[self.topic].id != before, WAIT_S)
        producer = self.log.producer()
        for number in range(events):
            old = self._records[number % len(self._records)]
            producer.produce(self.topic, 0, b"again/%d" % number, old.value, old.headers)
        producer.close()


async def ground_on(url: str, name: str, stack: ExitStack, clock: ManualClock | None = None) -> Ground:
    """A store that ran there and does not any more."""
    async with EventStore[Opened | Deposited](name, events=[Opened, Deposited], log=url, partitions=1) as store:
        await store.append("a", deposits(1, 2, 3), expected=ANY)
    log = open_log(url)
    stack.callback(log.close)
    ground = Ground(log, name, clock)
    stack.callback(ground.host.close)
    return ground


class MadeAgain:
    """What every engine does."""

    @pytest.fixture
    async def ground(
        self, url: str, unique: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[Ground]:
        """On the engine of the class."""
        monkeypatch.chdir(tmp_path)
        with ExitStack() as stack:
            yield await ground_on(url, unique("accounts"), stack)

    async def test_it_ends_a_subscription_that_hears_nothing_of_it(
        self, ground: Ground, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """S4: the new topic has events beyond the position; none of them is shown after a look."""
        monkeypatch.setattr(topic_identity, "LOOK_SECONDS", 0.0)
        async with ground.following() as events:
            await asyncio.to_thread(ground.make_again, 9)

            with pytest.raises(PositionRefused, match="was deleted and made again"):
                await anext(events)

    async def test_it_ends_one_that_is_ahead_of_the_new_topic(
        self, ground: Ground, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """S4: with the same error, whether the look or the reader notices it."""
        monkeypatch.setattr(topic_identity, "LOOK_SECONDS", 1.0)
        async with ground.following(seen=2) as events:
            shown = await anext(events)
            await asyncio.to_thread(ground.make_again, 1)

            with pytest.raises(PositionRefused, match="was deleted and made again") as refused:
                await anext(events)

        assert refused.value.position == shown.position


class TestOnMemory(MadeAgain):
    """On `memory://`."""

    @pytest.fixture
    def url(self, unique: Callable[[str], str]) -> Iterator[str]:
        """A log that outlives its first store."""
        name = unique("again")
        yield f"memory://{name}"
        discard(name)


class TestEmbedded(MadeAgain):
    """On a folder."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        """A folder of its own."""
        return f"embedded://{tmp_path}/log"


class TestOnKafka(MadeAgain):
    """On a broker."""

    @pytest.fixture
    def url(self, kafka: str) -> str:
        """The broker of the run."""
        return f"kafka://{kafka}"


class Answering:
    """A log that answers the question of a topic as it is told, once there is something to tell."""

    def __init__(self, log: Log) -> None:
        self._log, self.asked = log, 0
        self.answer: Callable[[], dict[str, TopicDescription]] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def describe(self, names: Any = None) -> dict[str, TopicDescription]:
        """As told, else the log's."""
        self.asked += 1
        return self.answer() if self.answer else self._log.describe(names)


@pytest.fixture
async def ground(unique: Callable[[str], str]) -> AsyncIterator[Ground]:
    """On memory, with a clock that is turned by hand, and a log that can be told what to answer."""
    name = unique("again")
    with ExitStack() as stack:
        stack.callback(discard, name)
        found = await ground_on(f"memory://{name}", "accounts", stack, ManualClock())
        found.host.log = cast("Log", Answering(found.log))
        yield found


def _turn(ground: Ground, seconds: float = LOOK_SECONDS) -> None:
    assert ground.clock is not None
    ground.clock.advance(timedelta(seconds=seconds))


async def _see_more(ground: Ground, events: AsyncIterator[Any], count: int) -> None:
    """Let the topic have more events of the same generation, and see each of them."""
    producer = ground.log.producer()
    for number in range(count):
        producer.produce(ground.topic, 0, b"more/%d" % number, ground._records[0].value, ground._records[0].headers)
        producer.flush()
        await anext(events)
    producer.close()


async def test_a_look_is_one_question_in_five_seconds_however_busy(ground: Ground) -> None:
    """None for each event or page."""
    log = cast("Answering", ground.host.log)
    async with ground.following() as events:
        await _see_more(ground, events, 20)
        assert log.asked == 1

        _turn(ground, LOOK_SECONDS - 0.1)
        await _see_more(ground, events, 20)
        assert log.asked == 1

        _turn(ground, 0.1)
        await _see_more(ground, events, 20)
        assert log.asked == 2


async def test_a_log_that_does_not_tell_ends_no_subscription(ground: Ground) -> None:
    """Brokers restart: the next look is five seconds later."""
    log = cast("Answering", ground.host.log)

    def nobody() -> dict[str, TopicDescription]:
        raise BrokerUnreachable("here", "it starts")

    async with ground.following() as events:
        log.answer = nobody
        _turn(ground)
        await _see_more(ground, events, 3)

        assert log.asked == 2


async def test_a_topic_that_two_looks_do_not_find_was_deleted(ground: Ground) -> None:
    """One may have asked a broker that has not heard of it."""
    log = cast("Answering", ground.host.log)
    async with ground.following() as events:
        log.answer = dict
        for _ in range(MISSES - 1):
            _turn(ground)
            await _see_more(ground, events, 1)
        _turn(ground)

        with pytest.raises(TopicMissing):
            await _see_more(ground, events, 1)


async def test_a_read_to_the_end_of_a_topic_that_is_made_again_is_refused_too(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would wait for an end that never comes."""
    monkeypatch.setattr(scanning, "PAGE_RECORDS", 1)
    async with ground.following(seen=1, until_end=True) as events:
        ground.make_again(1)
        _turn(ground)

        with pytest.raises(PositionRefused, match="was deleted and made again"):
            await anext(events)
