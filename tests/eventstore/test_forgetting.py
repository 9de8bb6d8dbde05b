"""A forgetting that the log does not let end says what is known of it, and to call it again, which finishes it (E4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any

import pytest

from eventstore import ANY
from eventstore.log import Log, open_log
from eventstore.log.errors import BrokerUnreachable, NotAuthorized, OutcomeUnknown
from eventstore.log.records import Isolation, TopicPartition
from eventstore.subject_keys import ForgetUnfinished, LocalMasterKeys, SubjectKeys
from eventstore.subject_keys.forgetting import Known
from eventstore.subject_keys.masters import VARIABLE, generate
from sagalog.broker import broker
from sagalog.broker.readiness import wait_until_ready
from tests.eventstore.shredded import ADA, ada, store
from tests.eventstore.test_shredding import REDACTED, names
from tests.eventstore.test_shredding_keys import destroyed, written
from tests.waiting import eventually_async

WHO = "customer-17"
MASTERS = LocalMasterKeys({"m": bytes(32)})


class Failing:
    """A log that fails when it is told to: each failure once, where it stands in the order of requests."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.asks = list[Exception | None]()
        """What the next questions for the end meet."""
        self.writes = list[Exception | None]()
        """What the next records meet. They are written all the same."""
        self.create, self.reader = log.create, log.reader

    def end_positions(self, partitions: Iterable[TopicPartition], *, isolation: Isolation) -> Mapping[Any, int]:
        if self.asks and (error := self.asks.pop(0)) is not None:
            raise error
        return self._log.end_positions(partitions, isolation=isolation)

    def producer(self) -> Any:
        made: Any = self._log.producer()
        real = made.send

        def send(*arguments: Any) -> Future[int]:
            sent: Future[int] = real(*arguments)
            if not self.writes or (error := self.writes.pop(0)) is None:
                return sent
            failed: Future[int] = Future()
            failed.set_exception(error)
            return failed

        made.send = send
        return made


@pytest.fixture
def log(unique: Callable[[str], str]) -> Iterator[Log]:
    """A log of this test's own."""
    opened = open_log(f"memory://{unique('forgetting')}")
    yield opened
    opened.close()


@pytest.fixture
def failing(log: Log) -> Failing:
    return Failing(log)


@pytest.fixture
def keys(failing: Failing) -> Iterator[SubjectKeys]:
    held = SubjectKeys(failing, MASTERS)  # type: ignore[arg-type] # the methods of a log that keys need
    held.open()
    held.keys_for([WHO])
    yield held
    held.close()


AWAY = BrokerUnreachable("broker:9092", "cut off")


@pytest.mark.parametrize(
    ("asks", "writes", "known"),
    [
        ([AWAY], [], "nothing happened"),
        ([], [OutcomeUnknown("not acknowledged")], "outcome unknown"),
        ([None, AWAY], [], "forgotten"),
        ([], [None, OutcomeUnknown("not acknowledged")], "forgotten"),
    ],
)
def test_what_is_known_is_told_and_a_second_call_finishes(
    keys: SubjectKeys, failing: Failing, log: Log, asks: list[Any], writes: list[Any], known: Known
) -> None:
    """Wherever the log failed: before, at, or after the record that counts."""
    failing.asks, failing.writes = [*asks], [*writes]

    with pytest.raises(ForgetUnfinished, match="call forget again") as raised:
        keys.forget(WHO)
    assert (raised.value.known, raised.value.subject, raised.value.is_retryable) == (known, WHO, True)

    keys.forget(WHO)

    assert keys.is_forgotten(WHO)
    assert destroyed(log) == written(log)


def test_what_a_second_call_does_not_mend_is_told_as_it_is(keys: SubjectKeys, failing: Failing) -> None:
    """A permission that is missing has another next action."""
    failing.writes.append(NotAuthorized("write to sagalog.keys", "denied"))

    with pytest.raises(NotAuthorized):
        keys.forget(WHO)


@pytest.mark.kafka
async def test_a_broker_that_is_frozen_is_told_and_a_second_call_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGSTOP: it is known that nothing happened, and nothing is redacted. When it goes on, the call does it."""
    monkeypatch.setenv(VARIABLE, generate("first"))
    with broker(provider="local") as cluster:
        async with store("customers", f"kafka://{cluster.bootstrap}?api_timeout=2") as customers:
            await customers.append("s", [ada(WHO)], expected=ANY)
            [before] = [recorded.event async for recorded in customers.read("s")]
            cluster.stop()
            assert not wait_until_ready(cluster.bootstrap, {1}, timeout_s=0.5)  # all of its threads stand
            try:
                with pytest.raises(ForgetUnfinished) as raised:
                    await customers.forget(WHO)
                assert raised.value.known == "nothing happened"
                assert before.name.reveal() == ADA
            finally:
                cluster.resume()

            await eventually_async(partial(_forgotten, customers), 60)

            assert await names(customers, "s") == [REDACTED]


async def _forgotten(customers: Any) -> bool:
    """Whether a call did it: a broker that goes on may take longer than a call waits."""
    try:
        await customers.forget(WHO)
    except ForgetUnfinished:
        return False
    return True
