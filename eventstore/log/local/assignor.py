"""Share partitions among members: balanced, and as sticky as balance allows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from eventstore.log.records import TopicPartition

M = TypeVar("M")


def share(
    partitions: Iterable[TopicPartition],
    members: Sequence[tuple[M, frozenset[str]]],
    before: Mapping[TopicPartition, M],
) -> dict[TopicPartition, M]:
    """Who shall own what.

    Each partition goes to a member that subscribes its topic; partitions without such a member are left out. A
    partition stays where it was `before` unless another member that could take it has at least two fewer.
    """
    able = {
        partition: [i for i, (_, topics) in enumerate(members) if partition.topic in topics] for partition in partitions
    }
    able = {partition: candidates for partition, candidates in sorted(able.items()) if candidates}
    index = {id(member): i for i, (member, _) in enumerate(members)}
    load = [0] * len(members)
    owner: dict[TopicPartition, int] = {}
    for partition, candidates in able.items():
        kept = index.get(id(before[partition])) if partition in before else None
        if kept is not None and kept in candidates:
            owner[partition] = kept
            load[kept] += 1
    for partition, candidates in able.items():
        if partition not in owner:
            owner[partition] = least = min(candidates, key=lambda i: (load[i], i))
            load[least] += 1
    _level(able, owner, load)
    return {partition: members[i][0] for partition, i in owner.items()}


def _level(able: Mapping[TopicPartition, list[int]], owner: dict[TopicPartition, int], load: list[int]) -> None:
    """Move one partition at a time, from the fullest to the emptiest, until no move makes it more even."""

    def gain(partition: TopicPartition) -> int:
        return load[owner[partition]] - min(load[i] for i in able[partition])

    while able and gain(best := max(able, key=gain)) > 1:
        load[owner[best]] -= 1
        owner[best] = least = min(able[best], key=lambda i: (load[i], i))
        load[least] += 1
