"""Partitions are shared evenly, and move as little as that allows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from eventstore.log import TopicPartition
from eventstore.log.local.assignor import share

TOPICS = frozenset({"t"})


def parts(count: int) -> list[TopicPartition]:
    return [TopicPartition("t", number) for number in range(count)]


class Named:
    """A member."""


@given(some.integers(0, 20), some.lists(some.integers(0, 6), min_size=1, max_size=8))
def test_even_and_sticky_over_any_history(count: int, sizes: list[int]) -> None:
    """As members come and go, loads differ by at most one, and nothing moves between members that stay in need."""
    everyone, owners = [Named() for _ in range(6)], dict[TopicPartition, Named]()
    for size in sizes:
        members = everyone[:size]
        before, owners = owners, share(parts(count), [(member, TOPICS) for member in members], owners)
        loads = [sum(owner is member for owner in owners.values()) for member in members]

        assert len(owners) == (count if members else 0)
        assert not loads or max(loads) - min(loads) <= 1
        moved = [p for p in owners if p in before and before[p] in members and owners[p] is not before[p]]
        newcomers = [member for member in members if member not in before.values()]
        assert all(owners[p] in newcomers for p in moved)


def test_only_subscribers_get_a_topic() -> None:
    """A partition goes to a member that subscribes its topic, or to nobody."""
    one, two = Named(), Named()
    places = [TopicPartition("a", 0), TopicPartition("b", 0), TopicPartition("c", 0)]

    owners = share(places, [(one, frozenset({"a"})), (two, frozenset({"a", "b"}))], {})

    assert owners == {places[0]: one, places[1]: two}
