"""The states of a processor with `journal="state"`: decoded, kept while there is room, written once per batch (K1).

Row of the partition's state, and record of the state topic, under one key, integers big-endian:

    b"k" key-bytes    ->  1 step:u64 state       the newest state of a key; a tombstone when it was deleted

`state` is what the processor's `encode_state` gave, `step` the partition's step number when it was written.

**What is promised.**

- *Each input counts once.* The inbox position is in the same transaction as the states, outputs, timers and answers
  that follow from what was read: crashes, rebalances and unknown outcomes repeat and lose nothing (K2–K4, K6).
- *One record for each key that a batch changed*, however many of its inputs did; none for a state that is encoded as
  it was. A key that is deleted, or whose state becomes that of a new key by deletion, leaves a tombstone.
- *A repeat of an input that somebody waits for gets the first answer* (K8): one that carries a reply address, is a
  local call, or belongs to a saga's step. Each leaves an outcome, one more record, for the deduplication window
  (8 days). That is what `service.ask(…, id=…)`, sagas and calls that move to another owner rest on. An answer that is
  not `final` is not kept: a repeat is decided again, so what gives such an answer should change nothing.

**What is not.**

- Inputs that nobody waits for leave no outcome: that is what makes one record per key and batch possible. What
  `context.send`, reactors and workers send is in the inbox once. But when a foreign program puts the same message into
  the inbox twice, it counts twice, whatever its id; it counts once if it asks for an answer.
- No history: an intermediate state within a batch is never in the log.
- If the group's positions are lost while the state topic has records, nobody knows which inputs it counts: that is
  `PositionMissing`, never a silent start (K12).
- That `decide` runs once for an input. When one input of a batch fails, the batch is decided again with care: each
  state is then encoded after each input, so that the one that failed leaves nothing behind (K7).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from eventstore.log.errors import MessageTooLarge
from eventstore.processor.entities import Entities, Entity
from eventstore.processor.port import StateProcessor
from eventstore.processor.row_layout import RowLayout
from eventstore.processor.topics import state_of
from eventstore.state.port import State

S = TypeVar("S")

PREFIX = b"k"
_HEADER = RowLayout("a state", "Q")
HEADER_BYTES = _HEADER.size
STATES_KEPT = 50_000
"""Decoded states kept per partition."""


class DecideAgain(Exception):
    """An input failed after its key's state was changed in the same batch: drop the batch and decide with care."""


class Kept(Entity[S]):
    """The decoded state of a key, and the bytes that it can be made of again. It has no events, hence no version."""

    __slots__ = ("good", "is_changed", "is_fresh", "key", "raw", "stored")

    def __init__(self, key: str, raw: bytes, state: S, stored: bytes | None) -> None:
        super().__init__(state, -1, 0)
        self.key, self.raw = key, raw
        self.stored = stored
        """The encoded state as the log has it, or will with this batch; None: it has none."""
        self.good = stored
        """The encoded state after the last input that did not fail, while deciding with care."""
        self.is_changed = False
        """Whether an input of the batch under way was decided on it."""
        self.is_fresh = stored is None
        """Whether it may be the state of a new key."""


class States(Entities[S]):
    """The states of one partition, in place of entities that are folded. One thread."""

    def __init__(self, processor: StateProcessor[S], state: State, most_bytes: int) -> None:
        """`most_bytes`: what an encoded state may take."""
        self._keeper, self._state, self._most_bytes = processor, state, most_bytes
        self.known: dict[bytes, Kept[S]] = {}
        """By the key's bytes."""
        self.changed: list[Kept[S]] = []
        self.is_careful = False
        """Whether states are encoded after each input, so that one that fails can be taken back."""
        self._fetched: dict[bytes, bytes | None] = {}

    def get(self, key: str, pending: object = ()) -> Kept[S]:
        """The state of a key."""
        raw = key.encode()
        return self.known.get(raw) or self.load(raw, key)

    def find(self, key: str) -> Kept[S] | None:
        return self.known.get(key.encode())

    def fetch(self, keys: Iterable[bytes | None]) -> None:
        """Read the rows of these keys that are not known, in one go: they will be asked for now."""
        wanted = [key for key in {*keys}.difference(self.known) if key is not None]
        rows = self._state.get_many([PREFIX + raw for raw in wanted])
        self._fetched = dict(zip(wanted, rows, strict=True))

    def forget_fetched(self) -> None:
        """What was fetched and not asked for may not be the newest for long."""
        self._fetched = {}

    def load(self, raw: bytes, key: str) -> Kept[S]:
        """The state of a key that is not known."""
        row = self._fetched.pop(raw) if raw in self._fetched else self._state.get(PREFIX + raw)
        stored = None if row is None else state_in(row)
        kept = self.known[raw] = Kept(key, raw, self._decoded(key, stored), stored)
        return kept

    def put(self, kept: Kept[S], state: S | None) -> None:
        """The state after an input that did not fail; None: it is deleted."""
        if state is None:
            kept.state, kept.is_fresh = self._keeper.initial(kept.key), True
        else:
            kept.state = state
        if not kept.is_changed:
            kept.is_changed = True
            self.changed.append(kept)

    def check(self, kept: Kept[S], state: S | None) -> None:
        """While deciding with care: encode the state after an input, before anything of the input is taken over."""
        if self.is_careful:
            kept.good = None if state is None else self._encoded(state)

    def forget(self, key: str) -> None:
        """Take back what a failed input may have done to a state in place.

        Raises:
            DecideAgain: what earlier inputs of the batch did to it is known to nothing else.
        """
        kept = self.known.get(key.encode())
        if kept is None:
            return
        if not kept.is_changed:
            del self.known[kept.raw]
        elif self.is_careful:
            kept.state = self._decoded(key, kept.good)
        else:
            raise DecideAgain

    def trim(self) -> None:
        """Forget those that were read first. Only between batches."""
        for raw in list(islice(self.known, max(0, len(self.known) - STATES_KEPT))):
            del self.known[raw]

    def encoded(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Key and encoded state of each key whose state the batch changed; None for one that is deleted.

        Raises:
            DecideAgain: one of them cannot be encoded, or is too large.
        """
        encode, most_bytes = self._keeper.encode_state, self._most_bytes
        for kept in self.changed:
            try:
                encoded: bytes | None = (data := encode(kept.state))
            except Exception as error:
                raise DecideAgain from error
            if len(data) > most_bytes:
                raise DecideAgain
            if kept.is_fresh and encoded == self._keeper.encode_state(self._keeper.initial(kept.key)):
                encoded = None
            if encoded != kept.stored:
                yield kept.raw, encoded
            kept.stored = kept.good = encoded
            kept.is_fresh = encoded is None

    def committed(self) -> None:
        """The batch is in the log."""
        for kept in self.changed:
            kept.is_changed = False
        self._end()

    def dropped(self) -> None:
        """Nothing of the batch happened."""
        for kept in self.changed:
            self.known.pop(kept.raw, None)
        self._end()

    def _end(self) -> None:
        self.changed, self.is_careful = [], False

    def _encoded(self, state: S) -> bytes:
        data = self._keeper.encode_state(state)
        if len(data) > self._most_bytes:
            raise MessageTooLarge(state_of(self._keeper.name), size_bytes=len(data), limit_bytes=self._most_bytes)
        return data

    def _decoded(self, key: str, data: bytes | None) -> S:
        return self._keeper.initial(key) if data is None else self._keeper.decode_state(key, data)


def header(step: int) -> bytes:
    """What stands before each state."""
    return _HEADER.pack(step)


def step_of(value: bytes) -> int:
    """The step at which a state was written.

    Raises:
        RowDamaged: the value is none.
    """
    return _HEADER.begin(value)[0]


def state_in(value: bytes) -> bytes:
    """The encoded state in a row's value.

    Raises:
        RowDamaged: the value is none.
    """
    _HEADER.begin(value)
    return value[HEADER_BYTES:]
