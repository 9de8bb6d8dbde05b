"""Who committed positions, and how: by a plain commit, or in a transaction. For the memory and embedded engines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import pytest

from eventstore.log.local.consumer import LocalConsumer
from eventstore.log.local.producer import LocalTransactor
from eventstore.log.port import Member
from eventstore.log.records import Position, TopicPartition

How: TypeAlias = Literal["plain", "transaction"]


class Committers:
    """Notes each commit from now on, by group and partition."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.by_group: dict[str, dict[TopicPartition, list[How]]] = defaultdict(lambda: defaultdict(list))
        plain, transaction = LocalConsumer.commit, LocalTransactor.commit

        def commit(
            consumer: LocalConsumer, positions: Mapping[TopicPartition, Position], member: Member | None = None
        ) -> None:
            plain(consumer, positions, member)
            self._note(consumer.group, positions, "plain")

        def commit_unit(
            transactor: LocalTransactor,
            positions: Mapping[TopicPartition, Position] | None = None,
            member: Member | None = None,
            meanwhile: Callable[[], None] | None = None,
        ) -> dict[TopicPartition, int]:
            ends = transaction(transactor, positions, member, meanwhile)
            if member is not None:
                self._note(member.group, positions or {}, "transaction")
            return ends

        monkeypatch.setattr(LocalConsumer, "commit", commit)
        monkeypatch.setattr(LocalTransactor, "commit", commit_unit)

    def of(self, group: str) -> dict[TopicPartition, list[How]]:
        """How the positions of the group's partitions were committed, in order."""
        return {at: list(how) for at, how in self.by_group[group].items()}

    def forget(self) -> None:
        """Note only what comes from now on."""
        self.by_group.clear()

    def mixing(self) -> dict[str, dict[TopicPartition, list[How]]]:
        """The groups that commit in two ways. The first plain commit of a partition that had no position is none."""
        found: dict[str, dict[TopicPartition, list[How]]] = {}
        for group, partitions in self.by_group.items():
            mixed = {at: how for at, how in partitions.items() if len(set(how[1:])) > 1 or _is_back(how)}
            if mixed:
                found[group] = mixed
        return found

    def _note(self, group: str, positions: Mapping[TopicPartition, Position], how: How) -> None:
        for at in positions:
            self.by_group[group][at].append(how)


def _is_back(how: list[How]) -> bool:
    return how[0] == "transaction" and "plain" in how
