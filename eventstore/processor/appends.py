"""Appends of callers in this process, decided on without a message, a context, or a decision of a processor.

They are most of what a store does, so they are worth a way of their own. It writes the records that an
`eventstore.processor.append_call.Append` from the inbox would lead to, byte for byte but for the ids. Only the row of
the outcome is left out where nobody can repeat the input: whoever restores the partition makes one of the event's
metadata, as of any other input.

The metadata is written as text instead of from objects. What is put into it needs no escaping: numbers, hexadecimal
ids, base64, and the names of types, which are escaped once.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec

from eventstore.expected import fits
from eventstore.processor.append_call import AppendCall, AppendDone, AppendLost
from eventstore.processor.entities import Entities
from eventstore.processor.inputs import Answered, Outgoing, input_of
from eventstore.processor.outcomes import Outcomes
from eventstore.processor.rows import Outcome
from eventstore.processor.undecided import Undecided
from eventstore.processor.writes import Writes
from schemas import Event, Serde
from schemas.wire import HEADER_BYTES

ANSWERS_KEPT = 10_000
"""Encoded answers that are kept, by version: streams are many, versions are few."""


class Appends:
    """The appends to one partition. One thread."""

    def __init__(
        self,
        serde: Serde,
        writes: Writes,
        outcomes: Outcomes,
        undecided: Undecided,
        entities: Entities[Any],
        touched: dict[str, list[Event | None]],
    ) -> None:
        """`touched`: the entities that the batch under way may change, with their events."""
        self._serde, self._writes, self._outcomes, self._undecided = serde, writes, outcomes, undecided
        self._entities, self._touched = entities, touched
        self._types: dict[bytes, str] = {}
        """The name of a type as JSON, by what its events begin with."""
        self._answers: dict[int, str] = {}
        self.done: list[tuple[AppendCall, int]] = []
        """The appends that are part of the batch under way, and the versions that they lead to."""

    def decide(self, call: AppendCall, out: list[Outgoing]) -> Answered | None:
        """Append, if the stream is as expected. None if it is: the call is among the done ones then."""
        if not call.is_new and (known := self._outcomes.find(call.id)) is not None:
            return self._undecided.repeated(input_of(call), known, out)
        key, touched = call.key, self._touched
        entity = self._entities.get(key, touched.get(key, ()))
        version = entity.version
        actual = version if version >= entity.first else -1
        if call.expected != actual and not fits(call.expected, actual):
            return Answered(call, AppendLost(actual=actual), replied=True)
        self._append(call, version + 1, out)
        entity.version = version = version + len(call.events)
        pending = touched.get(key)
        if pending is None:
            pending = touched[key] = []
        pending += [None] * len(call.events)
        self.done.append((call, version))
        return None

    def end_batch(self) -> None:
        """The batch was committed, or it never happened."""
        self.done = []

    def _append(self, call: AppendCall, first: int, out: list[Outgoing]) -> None:
        """Make the events part of the batch; the last one says what a successor needs of the input (K1)."""
        writes, events, id = self._writes, call.events, call.id
        stream, last = call.key.encode(), len(events) - 1
        writes.step = step = writes.step + 1
        answer = self._answer(call, first + last)
        beside = f'"correlation":"{call.correlation}","causation":"{id}","commit":"{id}"'
        done = f',"done":{{"step":{step},"input":"{id}","answer":"{answer}"}}}}'
        for place, value in enumerate(events):
            type_ = self._types.get(value[:HEADER_BYTES]) or self._type(value)
            index = f',"index":{place}' if place else ""
            meta = f'{{"v":1,"id":"{id}.{place}","type":{type_},{beside}{index}{done if place == last else "}"}'
            writes.event(stream, first + place, meta.encode(), value, out)

    def _answer(self, call: AppendCall, version: int) -> str:
        """The encoded answer in base64. Kept for repeats, if there may be any."""
        if call.is_new and not call.fingerprint:
            return self._answers.get(version) or self._usual_answer(version)
        answer = self._serde.encode(AppendDone(version=version, fingerprint=call.fingerprint))
        writes = self._writes
        writes.set([self._outcomes.remember(call.id, Outcome(writes.step, writes.now_ms, answer))])
        return b64encode(answer).decode()

    def _usual_answer(self, version: int) -> str:
        if len(self._answers) >= ANSWERS_KEPT:
            self._answers.clear()
        answer = b64encode(self._serde.encode(AppendDone(version=version, fingerprint=""))).decode()
        self._answers[version] = answer
        return answer

    def _type(self, value: bytes) -> str:
        name = msgspec.json.encode(self._serde.type_of(value).name).decode()
        self._types[value[:HEADER_BYTES]] = name
        return name
