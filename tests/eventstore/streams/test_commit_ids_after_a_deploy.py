"""A repeat under a commit id, by code whose events have other schemas than those of the first append (E1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from eventstore import ANY, CommitIdReused, EventStore
from schemas import Event


class Cents(Event):
    """What all of them say."""

    cents: int


def declare(version: int = 1) -> type[Cents]:
    """The event before and after a field with a default was added, and as a version of its own."""
    if version == 1:

        class Paid(Cents, name="test.deploys.paid"):
            pass

        return Paid
    if version == 2:

        class PaidIn(Cents, name="test.deploys.paid"):
            currency: str = "EUR"

        return PaidIn

    class Raised(Cents, name="test.deploys.paid", version=2):
        pass

    @Raised.upcast(from_version=1)
    def _(old: Mapping[str, Any]) -> Mapping[str, object]:
        return old

    return Raised


class Refunded(Cents, name="test.deploys.refunded"):
    pass


async def append(url: str, event: type[Cents], cents: int) -> int:
    """Append one event under the one id, by a process of its own."""
    async with EventStore("deploys", events=[event], log=url, partitions=1) as store:
        return (await store.append("a", [event(cents=cents)], expected=ANY, commit_id="c")).version


@pytest.mark.parametrize(("first", "then"), [(1, 2), (2, 1), (1, 3), (1, 1)])
async def test_it_returns_the_first_result(first: int, then: int, unique_url: str) -> None:
    """Rolled out, rolled back, raised to a new version: nothing is appended twice, and nobody is told to try anew."""
    assert await append(unique_url, declare(first), 5) == 0

    assert await append(unique_url, declare(then), 5) == 0


async def test_other_events_are_refused(unique_url: str) -> None:
    """What can be told is told: other content under the same schema, and another type."""
    await append(unique_url, declare(), 5)

    with pytest.raises(CommitIdReused):
        await append(unique_url, declare(), 6)
    with pytest.raises(CommitIdReused):
        await append(unique_url, Refunded, 5)


async def test_what_the_deploy_did_not_change_is_compared(unique_url: str) -> None:
    """Beside an event of a type with another schema, which nobody can compare."""

    async def append_both(event: type[Cents], cents: int) -> None:
        async with EventStore("deploys", events=[event, Refunded], log=unique_url, partitions=1) as store:
            await store.append("a", [event(cents=5), Refunded(cents=cents)], expected=ANY, commit_id="c")

    await append_both(declare(1), 7)
    await append_both(declare(2), 7)
    with pytest.raises(CommitIdReused):
        await append_both(declare(2), 8)


@pytest.fixture
def unique_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A log that outlives processes."""
    return f"embedded://{tmp_path_factory.mktemp('deploys')}/log"
