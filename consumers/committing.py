"""Commit the positions up to which a worker's records are acknowledged.

Several times a second what changed, and once a day everything. A commit that fails for now is made up for by the next:
until then a successor would handle records again, never skip one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import structlog

from consumers.delivery import Share
from consumers.shares import Shares
from eventstore.clock import Clock
from eventstore.log.errors import LogError, StaleMember
from eventstore.log.port import GroupConsumer, Member

COMMIT_SECONDS: Final = 0.1
RECOMMIT_SECONDS: Final = 24 * 60 * 60.0
"""Rule K12: positions of a quiet topic live."""

log = structlog.get_logger(__name__)


class Committing:
    """Commits for one worker."""

    def __init__(self, worker: str, consumer: GroupConsumer, shares: Shares, clock: Clock) -> None:
        self._worker, self._consumer, self._shares, self._clock = worker, consumer, shares, clock
        self._committed_at = self._recommitted_at = clock.monotonic()

    def if_due(self, member: Member | None) -> None:
        """Commit what changed, if it is time.

        Raises:
            LogError: what trying again does not mend.
        """
        now = self._clock.monotonic()
        if now - self._recommitted_at >= RECOMMIT_SECONDS:
            self._recommitted_at = now
            self._shares.touch()
        if now - self._committed_at >= COMMIT_SECONDS:
            self._committed_at = now
            self.commit(self._shares.owned.values(), member)

    def last(self, of: Callable[[], Iterable[Share]], again: Callable[[], None], deadline: float) -> None:
        """Commit what changed of these; until that is done or time is up, do `again` and retry. Raises like `if_due`.

        Nobody makes up for the last commit: what it does not tell, the successor handles a second time.
        """
        self.commit(of(), None)
        while any(share.acks.is_changed for share in of()) and self._clock.monotonic() < deadline:
            again()
            self.commit(of(), None)

    def commit(self, of: Iterable[Share], member: Member | None) -> None:
        """Commit what changed of these, now. Raises like `if_due`."""
        changed = [share for share in of if share.acks.is_changed]
        if not changed:
            return
        try:
            self._consumer.commit({share.tp: share.acks.position() for share in changed}, member)
        except StaleMember:
            log.info("commit_refused", worker=self._worker, why="partitions moved")
        except LogError as error:
            if not error.is_retryable:
                raise
            log.warning("commit_failed", worker=self._worker, error=str(error))
        else:
            for share in changed:
                share.acks.is_changed = False
