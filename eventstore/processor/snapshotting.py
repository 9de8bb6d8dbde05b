"""Take, keep and use the snapshots of one partition (E3).

The owner of an aggregate takes them of what it has folded anyway, at the end of a batch, in its transaction. Of streams
whose owner folds nothing, those of an event store, they are offered by who folded them to load an aggregate: such an
offer is an input that decides on nothing and leaves no outcome, for a repeat of it does no harm.

A snapshot never fails what it is taken with: one that cannot be taken is counted, logged, and tried again later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog

from eventstore.processor.context import OVERHEAD_BYTES
from eventstore.processor.counts import EntityCounts
from eventstore.processor.inputs import Outgoing
from eventstore.processor.snapshots import (
    Ignored,
    NotTaken,
    Snapshot,
    StateForm,
    decode_snapshot,
    encode_snapshot,
    snapshot_key,
    snapshots_of,
    stands,
    usable,
    version_of_snapshot,
)
from eventstore.processor.tombstones import Erasures
from eventstore.processor.writes import Writes
from eventstore.state.errors import StateError
from eventstore.state.port import State
from schemas import Message, Reply
from schemas.error_text import error_reason

log = structlog.get_logger()

ROOM_BYTES = 2 * OVERHEAD_BYTES
"""What is left of a record beside a snapshot's state, for its key and head, and for the answer that carries it."""


class OfferSnapshot(Message, name="sagalog.offer_snapshot"):
    """Keep this snapshot of the stream that is the record's key."""

    aggregate: str
    version: int
    fingerprint: bytes
    state: bytes


class SnapshotOffered(Reply, name="sagalog.snapshot_offered"):
    """Whether it is kept: it is not if there is a later one, or the stream was erased since."""

    is_kept: bool


SNAPSHOT_MESSAGES: tuple[type[Message], ...] = (OfferSnapshot, SnapshotOffered)


def fits(key: str, state: bytes, record_bytes: int) -> bool:
    """Whether a snapshot of this state fits into a record, and into an answer."""
    return len(key.encode()) + len(state) + ROOM_BYTES <= record_bytes


class PartitionSnapshots:
    """The snapshots of one partition of one processor. One thread."""

    def __init__(
        self,
        form: StateForm[Any] | None,
        state: State,
        writes: Writes,
        erasures: Erasures,
        counts: EntityCounts,
        monotonic: Callable[[], float],
        record_bytes: int,
    ) -> None:
        """`form`: None if its entities have no snapshots, or those only that are offered."""
        self._form, self._state, self._writes, self._erasures = form, state, writes, erasures
        self._counts, self._record_bytes, self.monotonic = counts, record_bytes, monotonic
        self._due: dict[str, None] = {}

    def begin(self, key: str) -> tuple[Any, int] | None:
        """The state of the entity's snapshot and its version; None if it has none that can be used."""
        form = self._form
        row = None if form is None else self._state.get(snapshot_key(key.encode(), form.name))
        if form is None or row is None:
            return None
        found = usable(row, form.fingerprint, self._erasures.find(key))
        if isinstance(found, Ignored):
            self._ignore(key, form, found)
            return None
        try:
            state = form.decode(key, found.version, found.state)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - whatever a validator of the state raises: the events say the same
            self._ignore(key, form, Ignored.CORRUPT)
            return None
        self._counts.used()
        return state, found.version

    def due_at(self, after: int, version: int, began: float) -> int:
        """From which version on a snapshot of an entity is due that was folded from `after` to `version`."""
        assert self._form is not None, "only entities with snapshots have one due"
        return self._form.policy.due_at(after, version, self.monotonic() - began)

    def note(self, key: str) -> None:
        """A snapshot of this entity is due."""
        self._due[key] = None

    def due(self) -> list[str]:
        """The entities that were noted, once. One of a batch that was dropped since has one early at worst."""
        due, self._due = list(self._due), {}
        return due

    def take(self, key: str, state: Any, version: int, out: list[Outgoing]) -> int:
        """Make a snapshot part of the batch, if it can be taken; returns the version at which the next one is due."""
        form = self._form
        assert form is not None, "only entities with snapshots have one due"
        if stands(version, self._erasures.find(key)):
            encoded = self._encoded(key, form, state)
            if encoded is not None:
                self._keep(key, form.name, Snapshot(version, form.fingerprint, encoded), out)
        return form.policy.due_at(version, version, 0.0)

    def offered(self, key: str, given: OfferSnapshot, head: int, out: list[Outgoing]) -> SnapshotOffered:
        """Keep what is offered, if the stream goes on from it. `head`: the stream's last version."""
        row = self._writes.current(snapshot_key(key.encode(), given.aggregate))
        known = None if row is None else decode_snapshot(row)
        is_same = known is not None and known.fingerprint == given.fingerprint
        is_later = known is None or known.version + is_same <= given.version  # versions never go down, as on restore
        is_kept = 0 <= given.version <= head and is_later and stands(given.version, self._erasures.find(key))
        if is_kept:
            self._keep(key, given.aggregate, Snapshot(given.version, given.fingerprint, given.state), out)
        return SnapshotOffered(is_kept=is_kept)

    def erase(self, key: str, out: list[Outgoing]) -> None:
        """E2: drop those that the stream does not go on from, now that some of it is erased."""
        prefix, erased = snapshot_key(key.encode(), ""), self._erasures.find(key)
        rows = dict(snapshots_of(self._state, key.encode())) | self._writes.beginning_with(prefix)
        for row_key, value in rows.items():
            if value is not None and not stands(version_of_snapshot(value), erased):
                self._writes.journal((row_key, None), out)

    def _keep(self, key: str, name: str, snapshot: Snapshot, out: list[Outgoing]) -> None:
        self._writes.journal((snapshot_key(key.encode(), name), encode_snapshot(snapshot)), out)
        self._counts.taken()

    def _encoded(self, key: str, form: StateForm[Any], state: Any) -> bytes | None:
        try:
            encoded = form.encode(state)
        except (MemoryError, StateError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever a serializer of the state raises: the command stands
            self._not_taken(key, form, NotTaken.NOT_EXACT, error_reason(error))
            return None
        if fits(key, encoded, self._record_bytes):
            return encoded
        self._not_taken(key, form, NotTaken.TOO_LARGE, f"{len(encoded)} of {self._record_bytes} bytes")
        return None

    def _ignore(self, key: str, form: StateForm[Any], why: Ignored) -> None:
        """Go on without it. Worth a warning where the events that are kept do not say the same."""
        self._counts.ignored(why)
        if why is Ignored.CORRUPT or self._erasures.find(key).first:
            log.warning("snapshot_ignored", aggregate=form.name, key=key, reason=why.value)

    def _not_taken(self, key: str, form: StateForm[Any], why: NotTaken, detail: str) -> None:
        self._counts.not_taken(why)
        log.warning("snapshot_not_taken", aggregate=form.name, key=key, reason=why.value, detail=detail[:500])
