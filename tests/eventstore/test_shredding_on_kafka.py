"""The key of a forgotten subject leaves the disks of a real Kafka (E4)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from eventstore import ANY
from eventstore.subject_keys import keys
from eventstore.subject_keys.masters import VARIABLE, generate
from sagalog.broker import broker
from tests.eventstore.shredded import ADA, ada, store
from tests.eventstore.test_shredding import REDACTED, holders, names, wrapped_key
from tests.waiting import eventually_async


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
