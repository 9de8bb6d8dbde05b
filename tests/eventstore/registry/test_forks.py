"""A client of a registry in a process that was forked off: it has the parent's objects without the parent's threads."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable

import pytest

from eventstore.registry_http import HttpRegistry
from tests.eventstore.registry.foreign import foreign, said

FORKED = multiprocessing.get_context("fork")


def asked(registry: HttpRegistry) -> None:
    """Ask in the child."""
    assert registry.subjects() == ["order.placed"]
    registry.close()


def closed(registry: HttpRegistry) -> None:
    """Close in the child what the parent opened."""
    registry.close()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("work", [asked, closed])
def test_a_child_is_answered_too_and_the_parent_goes_on(work: Callable[[HttpRegistry], None]) -> None:
    """Neither waits for a thread that is not there."""
    with foreign() as server, HttpRegistry(server.url, patience_seconds=5) as registry:
        server.answers["GET /subjects"] = said(["order.placed"])
        assert registry.subjects() == ["order.placed"]

        child = FORKED.Process(target=work, args=(registry,))
        child.start()
        child.join(20)

        assert child.exitcode == 0
        assert registry.subjects() == ["order.placed"]
