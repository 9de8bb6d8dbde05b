"""Ask the owner of a partition for pages of a stream, over its inbox and the reply path.

One page is asked for at a time, when the last one was consumed: a slow reader holds no more than that. Whoever owns the
partition then answers each, so a read goes on when the owner changes. If nobody answers in time, the caller of an
ordinary read is told so and reads the topic; for a while the partition's later reads do not ask at all.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import cast

import structlog

from eventstore.bounds import Bounds
from eventstore.component import Runtime
from eventstore.errors import AskTimedOut, OwnerSilent
from eventstore.log.records import TopicPartition
from eventstore.processor.pages import Page, unpacked
from eventstore.processor.questions import PageRead, ReadPage
from eventstore.processor.snapshots import Wanted, decode_snapshot
from eventstore.processor.snapshotting import OfferSnapshot
from eventstore.topic_reading import TopicStream

log = structlog.get_logger()

PATIENCE = timedelta(seconds=2)
"""How long an ordinary read waits for the owner's answer."""
FENCED_PATIENCE = timedelta(seconds=5)
OFFER_PATIENCE = timedelta(seconds=1)
"""How long a load waits for its snapshot to be kept."""
FENCED_ATTEMPTS = 4
"""A consistent read asks again: a failover takes up to 10 seconds, and an answer may be lost with its owner."""
SILENT_SECONDS = 10.0
"""How long after a question that nobody answered the partition's owner is not asked again."""


class Owners:
    """The owners of a processor's partitions, as those who ask them."""

    def __init__(self, processor: str, topic: str, runtime: Runtime) -> None:
        self._processor, self._topic, self._runtime = processor, topic, runtime
        self._silent: dict[int, float] = {}
        self.unanswered = 0
        """How many questions of ordinary reads nobody answered in time."""

    async def page(self, stream: str, partition: int, bounds: Bounds, wanted: Wanted | None = None) -> Page | None:
        """The next events, as many as fit; None if no owner answers now."""
        if self._is_silent(partition):
            return None
        try:
            answer = await self._ask(stream, bounds, bounds.page, PATIENCE, wanted, fenced=False)
        except AskTimedOut:
            self._fell_silent(partition)
            return None
        return await self._whole(answer, stream, partition)

    async def fenced(
        self, stream: str, partition: int, bounds: Bounds, *, events: int, wanted: Wanted | None = None
    ) -> Page:
        """The next events, as they are after a commit of the owner that began after this call (K15).

        Raises:
            OwnerSilent: nobody answered.
        """
        why = ""
        for _ in range(FENCED_ATTEMPTS):
            try:
                answer = await self._ask(stream, bounds, events, FENCED_PATIENCE, wanted, fenced=True)
            except AskTimedOut as error:
                why = error.why
                continue
            return await self._whole(answer, stream, partition)
        raise OwnerSilent(self._processor, partition, FENCED_ATTEMPTS * FENCED_PATIENCE.total_seconds(), why=why)

    async def offer(self, stream: str, partition: int, offer: OfferSnapshot) -> None:
        """Have a snapshot kept. That it may not be does no harm: the next one who loads the stream offers another."""
        if self._is_silent(partition):
            return
        try:
            await self._runtime.ask_positioned(self._processor, stream, offer, timeout=OFFER_PATIENCE)
        except AskTimedOut:
            log.info("snapshot_not_kept", processor=self._processor, partition=partition, aggregate=offer.aggregate)

    async def _ask(
        self, stream: str, bounds: Bounds, events: int, timeout: timedelta, wanted: Wanted | None, *, fenced: bool
    ) -> PageRead:
        question = ReadPage(
            after=bounds.after,
            until=bounds.until,
            backwards=bounds.backwards,
            events=events,
            fenced=fenced,
            asked_ms=self._runtime.host.clock.now_ms(),
            snapshot="" if wanted is None else wanted.name,
            fingerprint=b"" if wanted is None else wanted.fingerprint,
        )
        answer, _ = await self._runtime.ask_positioned(self._processor, stream, question, timeout=timeout)
        return cast("PageRead", answer)

    async def _whole(self, answer: PageRead, stream: str, partition: int) -> Page:
        """The page of an answer; an event that was too large for it is read where it stands, if it still does."""
        snapshot = None if answer.snapshot is None else decode_snapshot(answer.snapshot)
        if answer.elsewhere is None:
            return Page(unpacked(answer.rows), answer.head, answer.is_last, snapshot)
        at, offset = TopicPartition(self._topic, partition), answer.elsewhere
        search = TopicStream(self._runtime.host.log, at, stream)
        return Page(await asyncio.to_thread(search.at, offset), answer.head, False, snapshot, answer.version)

    def _is_silent(self, partition: int) -> bool:
        return self._silent.get(partition, 0.0) > self._runtime.host.clock.monotonic()

    def _fell_silent(self, partition: int) -> None:
        self._silent[partition] = self._runtime.host.clock.monotonic() + SILENT_SECONDS
        self.unanswered += 1
        log.warning(
            "owner_silent", processor=self._processor, partition=partition, reading="the topic, which is slower"
        )
