"""The timers of one partition: messages to come, in order of time (K9)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from heapq import heapify, heappop, heappush

from eventstore.processor.rows import CLEARED, Timer, decode_timer, encode_timer, timer_key, timer_of
from eventstore.state.port import Row, State


class Due:
    """A timer that is due."""

    __slots__ = ("id", "key", "name", "payload")

    def __init__(self, key: str, name: str, timer: Timer) -> None:
        self.key, self.name, self.payload = key, name, timer.payload
        self.id = f"timer:{key}:{name}:{timer.step}"
        """The input id: the same when the timer fires again after a failover."""


class Timers:
    """Pending timers by entity and name. A heap finds the next one; the table says whether it still stands."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._pending: dict[tuple[str, str], Timer] = {}
        self._heap: list[tuple[int, int, str, str]] = []
        self.reload()

    def __len__(self) -> int:
        return len(self._pending)

    def reload(self) -> None:
        """Read the pending timers from the state again."""
        self._pending = {}
        for key, value in self._state.scan(b"t", b"u"):
            timer = decode_timer(value)
            if timer.due_ms != CLEARED:
                self._pending[timer_of(key)] = timer
        self._heap = [(timer.due_ms, timer.step, *at) for at, timer in self._pending.items()]
        heapify(self._heap)

    def change(self, key: str, step: int, timers: Mapping[str, tuple[int, bytes]], cancelled: AbstractSet[str]) -> None:
        """Set and cancel timers of an entity."""
        for name in cancelled:
            self._pending.pop((key, name), None)
        for name, (due_ms, payload) in timers.items():
            self._pending[key, name] = Timer(step, due_ms, payload)
            heappush(self._heap, (due_ms, step, key, name))

    def rows(
        self, key: str, step: int, timers: Mapping[str, tuple[int, bytes]], cancelled: AbstractSet[str]
    ) -> list[Row]:
        """The rows of such a change. A timer that never was needs no row to be cancelled."""
        rows: list[Row] = [
            (timer_key(key, name), encode_timer(Timer(step, CLEARED, b""))) for name in sorted(cancelled)
        ]
        rows += [(timer_key(key, name), encode_timer(Timer(step, due, what))) for name, (due, what) in timers.items()]
        return rows

    def next_due_ms(self) -> int | None:
        """When the next timer is due; None if there is none."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def has_due(self, now_ms: int) -> bool:
        """Whether a timer is due. Any thread may ask."""
        heap = self._heap
        return bool(heap) and heap[0][0] <= now_ms

    def due(self, until_ms: int, limit: int) -> Iterator[Due]:
        """Up to `limit` timers that are due at `until_ms`, earliest first. They stay pending until they are changed.

        Consume it whole, and give what follows to `change`, or to `reload`.
        """
        for _ in range(limit):
            self._drop_stale()
            if not self._heap or self._heap[0][0] > until_ms:
                return
            _, _, key, name = heappop(self._heap)
            yield Due(key, name, self._pending[key, name])

    def put_back(self, key: str, name: str) -> None:
        """A due timer that was taken and not handled becomes due again."""
        timer = self._pending.get((key, name))
        if timer is not None:
            heappush(self._heap, (timer.due_ms, timer.step, key, name))

    def _drop_stale(self) -> None:
        heap, pending = self._heap, self._pending
        while heap:
            due_ms, step, key, name = heap[0]
            timer = pending.get((key, name))
            if timer is not None and timer.step == step and timer.due_ms == due_ms:
                return
            heappop(heap)
