"""What to do about positions that stay pending: they were sent by a unit that hangs, or the question hangs (K5).

On a thread of its own, because it may take seconds, and again every few seconds: the positions are read by another
consumer than the group member, whose question may have been lost with a connection; while they are pending there too,
the transactional ids that the newest stable positions name are fenced, each once.

A position that is pending for longer than any transaction may be open is a fault of the broker: its coordinator ended
the transaction and never told the partitions (KAFKA-20734: it does so while they have no leader). Nobody but an
operator can end it, so it is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Thread
from typing import TypeAlias

import structlog

from eventstore.component import Host
from eventstore.log.errors import LogError
from eventstore.log.records import Position, TopicPartition

log = structlog.get_logger()

PENDING_SECONDS = 1.0
"""How long positions may be pending before the one who holds them open is fenced."""
AGAIN_SECONDS = 5.0
HANGS_SECONDS = 25.0
"""Longer than a transaction may be open, and than a broker takes to look for those that were: 10 s each."""
STABLE_SECONDS = 0.5

Found: TypeAlias = Mapping[TopicPartition, Position | None]


class Predecessor:
    """Whoever had the partitions of one takeover before."""

    def __init__(self, host: Host, group: str, metadata: str) -> None:
        """`metadata`: of this unit's own positions, which never wait for themselves."""
        self._host, self._group, self._own = host, group, transactional_id_of(metadata)
        self._began = host.clock.monotonic()
        self._next = self._began + PENDING_SECONDS
        self._was_told = False
        self._asking: Thread | None = None
        self._found: Found = {}
        self._fenced: set[str] = set()

    def look(self, inboxes: Sequence[TopicPartition]) -> Found | None:
        """Called again and again while positions are pending. Returns them once they are known by another way."""
        found = self._found
        if all(inbox in found for inbox in inboxes):
            return found
        is_asking = self._asking is not None and self._asking.is_alive()
        if not is_asking and self._host.clock.monotonic() >= self._next:
            self._next = self._host.clock.monotonic() + AGAIN_SECONDS
            self._asking = Thread(target=self._ask, args=(list(inboxes),), name="fence predecessor", daemon=True)
            self._asking.start()
        return None

    def _ask(self, inboxes: list[TopicPartition]) -> None:
        try:
            self._found = self._host.log.group_positions(self._group, inboxes, timeout=STABLE_SECONDS)
        except TimeoutError:
            self._fence(inboxes)
        except LogError as error:
            log.warning("positions_not_read", group=self._group, error=str(error))

    def _fence(self, inboxes: list[TopicPartition]) -> None:
        """Abort the open unit of a process that hangs, by taking its transactional id."""
        try:
            unstable = self._host.log.group_positions(self._group, inboxes, stable=False)
        except LogError as error:
            log.warning("positions_not_read", group=self._group, error=str(error))
            return
        ids = {transactional_id_of(position.metadata) for position in unstable.values() if position}
        if not self._was_told and self._host.clock.monotonic() - self._began >= HANGS_SECONDS:
            self._was_told = True
            log.error(
                "transaction_hangs", group=self._group, transactional_ids=sorted(ids),
                partitions=[f"{inbox.topic}/{inbox.partition}" for inbox in inboxes],
                way_out="find it with `kafka-transactions.sh find-hanging`, and end it with its command `abort`",
            )  # fmt: skip
        for id_ in sorted(ids - {self._own, ""} - self._fenced):
            self._fenced.add(id_)
            log.warning("hung_predecessor_fenced", group=self._group, transactional_id=id_)
            try:
                self._host.log.transactor(id_).close()
            except LogError as error:
                log.warning("fencing_failed", transactional_id=id_, error=str(error))
                self._fenced.discard(id_)


def commit_metadata(transactional_id: str, address: str) -> str:
    """What travels with a unit's positions: layout version, who holds them, where it answers."""
    return f"1;{transactional_id};{address}"


def transactional_id_of(metadata: str) -> str:
    """The transactional id in a position's metadata; empty if there is none."""
    parts = metadata.split(";")
    return parts[1] if len(parts) > 2 and parts[0] == "1" else ""
