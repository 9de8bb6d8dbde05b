"""A service whose schemas are in a registry behind HTTP (S9)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from consumers import Client, Service
from eventstore.log import open_log
from eventstore.registry import TOPIC
from tests.consumers.service.app import Add, Counter, Sum
from tests.eventstore.registry.confluent import Confluent
from tests.eventstore.registry.foreign import foreign
from tests.eventstore.registry.serving import served
from tests.waiting import eventually


@pytest.mark.parametrize("how", ["argument", "environment"])
async def test_a_service_uses_the_registry_it_is_given(how: str, monkeypatch: pytest.MonkeyPatch, topic: str) -> None:
    """Its schemas are registered there, its log has none, and a client with the same registry is understood."""
    confluent, url = Confluent(), f"memory://{topic}"
    with served(confluent) as registry:
        given = registry if how == "argument" else None
        if how == "environment":
            monkeypatch.setenv("SAGALOG_REGISTRY", registry)

        async with (
            Service("shop", components=[Counter], log=url, registry=given),
            Client(log=url, registry=given) as client,
        ):
            assert await client.ask(Add(counter="a", amount=2)) == Sum(total=2)

            log = open_log(url)
            assert TOPIC not in log.describe()
            log.close()
    assert {"add", "sum", "test.tally.added"} <= set(confluent.registry.subjects())


async def test_a_start_that_waits_for_a_registry_can_be_cancelled(topic: str) -> None:
    """At once, not when the patience is over."""
    over = threading.Event()

    def drips() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nX: "
        while not over.wait(0.05):
            yield b" "

    with foreign() as server:
        server.answers[""] = drips()
        service = Service("shop", components=[Counter], log=f"memory://{topic}", registry=server.url)
        starting = asyncio.ensure_future(service.__aenter__())
        await asyncio.to_thread(eventually, lambda: bool(server.requests), 20)
        began = time.monotonic()

        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

        over.set()
        assert time.monotonic() - began < 4
