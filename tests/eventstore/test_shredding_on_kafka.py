"""Keys on a real Kafka: that of a forgotten subject leaves the disks, and a process that is cut off uses none (E4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from eventstore import ANY
from eventstore.clock import ManualClock
from eventstore.log import open_log
from eventstore.subject_keys import keys
from eventstore.subject_keys.following import Following
from eventstore.subject_keys.masters import VARIABLE, LocalMasterKeys, generate
from eventstore.subject_keys.ring import ASK_AGAIN_SECONDS, TRUSTED_SECONDS, KeysNotFollowed
from eventstore.testing.proxy import KafkaProxy
from sagalog.broker import broker
from tests.eventstore.shredded import ADA, ada, store
from tests.eventstore.test_shredding import REDACTED, holders, names, wrapped_key
from tests.waiting import eventually, eventually_async


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the broker keeps its files."""
    return tmp_path / "kafka"


@pytest.fixture
def url(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A Kafka of this test's own, on this machine whatever else there is; the key topic's times are a second each."""
    quick = keys.key_topic(segment_ms=1_000, lag_ms=1_000)
    monkeypatch.setattr(keys, "key_topic", lambda: quick)
    monkeypatch.setenv(VARIABLE, generate("first"))
    monkeypatch.chdir(folder.parent)
    with broker(folder=folder, provider="local") as cluster:
        yield f"kafka://{cluster.bootstrap}"


@pytest.mark.kafka
async def test_no_segment_holds_the_key_of_a_forgotten_subject(url: str, folder: Path) -> None:
    """E4: short segments, a record that rolls the last one, and the broker's own cleaner. Others keep their keys."""
    async with store("customers", url) as customers:
        await customers.append("s", [ada("customer-17"), ada("other")], expected=ANY)
        gone, kept = wrapped_key(customers, "customer-17"), wrapped_key(customers, "other")
        assert holders(folder, gone)

        await customers.forget("customer-17")

        await eventually_async(lambda: not holders(folder, gone), timeout=60)
        assert holders(folder, kept)
        assert await names(customers, "s") == [REDACTED, ADA]

    async with store("customers", url) as customers:
        assert await names(customers, "s") == [REDACTED, ADA]


@pytest.mark.kafka
def test_a_process_that_is_cut_off_from_kafka_uses_no_key_after_a_minute(
    kafka: str, unique: Callable[[str], str]
) -> None:
    """S8: its follower hears nothing, and does not take that for a topic in which nothing happens. Then it goes on."""
    clock, subject = ManualClock(), unique("customer")
    with KafkaProxy(kafka) as proxy, closing(open_log(f"kafka://{proxy.bootstrap}?api_timeout=2")) as log:
        held = keys.SubjectKeys(log, LocalMasterKeys({"m": bytes(32)}), clock=clock)
        held.open()
        key_id, key = held.keys_for([subject])[subject]
        following = Following(held, clock)
        following.open()
        following.step(0.1)
        proxy.break_all()
        clock.advance(timedelta(seconds=TRUSTED_SECONDS + 1))
        following.step(0.1)

        assert not following.is_ready()
        with pytest.raises(KeysNotFollowed):
            held.find(subject, key_id)
        proxy.heal()
        clock.advance(timedelta(seconds=ASK_AGAIN_SECONDS))

        def is_followed() -> bool:
            clock.advance(timedelta(seconds=1))
            following.step(0.1)
            return following.is_ready()

        eventually(is_followed, timeout=30)
        assert held.find(subject, key_id) == key
        following.stop(0)
        held.close()
