"""What callers did and saw: one file per process, a line of JSON when an operation begins and one when it ends.

    {"e":"invoke","op":17,"at":…,"do":"append","stream":"3-1","expected":4,"content":"0.1:17","count":2}
    {"e":"return","op":17,"at":…,"outcome":"ok","version":6}
    {"e":"stalled","since":…,"until":…}

A subscriber has a file of its own, a line for the events that it took and where it goes on from:

    {"e":"delivered","at":…,"events":[["3-1",6,"0.1:17#1/2"]],"position":"2:…:0=12"}

`at` is CLOCK_MONOTONIC in nanoseconds, which on Linux is one clock for all processes of a machine. An operation begins
before its line is written and ends before its end's line is, so that the interval in the history holds the true one. A
line is one `write`: kill −9 loses none that was written, and a last line without its end is no line. What has no
`return` was under way when its process ended: its outcome is unknown.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["append", "delete", "truncate", "read", "load", "arm", "disarm"]
Outcome: TypeAlias = Literal["ok", "lost", "refused", "unknown", "failed"]
"""`lost`: the stream is elsewhere. `refused`: nothing happened, for another reason. `unknown`: it may have happened.
`failed`: a read that gave nothing."""

NO_STREAM, ANYTHING = -1, -3
"""What an append or erasure expects beside versions."""
READS = frozenset({"read", "load"})
ERASES = frozenset({"delete", "truncate"})


class Invoke(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="e", tag="invoke"):
    """An operation begins."""

    op: int
    at: int
    caller: int
    do: Kind
    stream: str
    expected: int = ANYTHING
    commit: str = ""
    """The commit id of an append or erasure; empty: it has none."""
    content: str = ""
    """Names what is appended; its events are content#0, content#1, …"""
    count: int = 0
    consistent: bool = False
    after: int | None = None
    until: int | None = None
    backwards: bool = False
    limit: int | None = None
    before: int | None = None
    """The first version that a truncation keeps."""
    aggregate: str = ""
    """What was loaded."""
    due_ms: int = 0
    """When an alarm goes off."""


class Return(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="e", tag="return"):
    """An operation ended."""

    op: int
    at: int
    outcome: Outcome
    version: int | None = None
    """Of an append's last event; of the stream's head, if the race was lost; of a load."""
    erased: int = 0
    first: int = 0
    """What an erasure told: how many events went, and the first version that is kept."""
    events: list[tuple[int, str]] = []
    """What a read gave: versions and contents."""
    first_at: int = 0
    """When a read gave its first event."""
    count: int = 0
    digest: str = ""
    """What a load folded: how many events, and a digest of their contents."""
    way: str = ""
    """Whence a read got its events: `index:N` for the process's own Nth index, `owner`, or `topic`."""
    is_from_snapshot: bool = False
    """Whether a load went on from a snapshot."""
    acked_ms: int = 0
    """By the wall clock: when it was known that the log has what was sent."""
    error: str = ""


class Stalled(msgspec.Struct, frozen=True, tag_field="e", tag="stalled"):
    """The process did not run for a while: it was stopped, or the machine was busy."""

    since: int
    until: int


class Disturbed(msgspec.Struct, frozen=True, tag_field="e", tag="disturbed"):
    """The nemesis kept processes from hearing of each other, by their own clock unnoticed."""

    since: int
    until: int


class Delivered(msgspec.Struct, frozen=True, tag_field="e", tag="delivered"):
    """What a subscriber was given, in this order, and where it goes on from."""

    at: int
    events: list[tuple[str, int, str]]
    """Streams, versions and contents."""
    position: str


class Refused(msgspec.Struct, frozen=True, tag_field="e", tag="refused"):
    """A subscriber could not go on from where it stood."""

    at: int
    error: str


Line: TypeAlias = Invoke | Return | Stalled | Disturbed | Delivered | Refused
_decode = msgspec.json.Decoder(Line).decode
_encode = msgspec.json.Encoder().encode


class Recorder:
    """Writes the history of one process, behind the whole lines that the file has."""

    def __init__(self, file: Path) -> None:
        if file.exists():
            os.truncate(file, file.read_bytes().rfind(b"\n") + 1)
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._ops = 0

    def next_op(self) -> int:
        """The number of the next operation."""
        self._ops += 1
        return self._ops

    def write(self, line: Line) -> None:
        """Write one line."""
        data = _encode(line) + b"\n"
        if os.write(self._file, data) != len(data):
            raise OSError("half a line was written: the disk of the histories is full")

    def close(self) -> None:
        os.close(self._file)


def now() -> int:
    """The clock of all histories, in nanoseconds."""
    return time.monotonic_ns()


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation as its process recorded it."""

    process: str
    invoke: Invoke
    result: Return | None
    """None: the process ended before."""

    @property
    def name(self) -> str:
        return f"{self.process}:{self.invoke.op}"

    @property
    def outcome(self) -> Outcome:
        return "unknown" if self.result is None else self.result.outcome

    @property
    def began(self) -> float:
        return self.invoke.at

    @property
    def ended(self) -> float:
        """When its effect was there at the latest: never, while its outcome is unknown."""
        return math.inf if self.result is None or self.outcome in ("unknown", "failed") else self.result.at

    @property
    def reader(self) -> str:
        """The caller: its operations follow each other."""
        return f"{self.process}/{self.invoke.caller}"

    def __str__(self) -> str:
        did, got = self.invoke, self.result
        what = f"{self.name} {did.do} {did.stream}{_asked(did)}"
        if got is None:
            return f"{what} at {did.at / 1e9:.6f}, never ended"
        told = f"{got.outcome}{_told(did, got)} {got.way}{got.error}".rstrip()
        return f"{what} at {did.at / 1e9:.6f}–{got.at / 1e9:.6f}: {told}"


def _asked(did: Invoke) -> str:
    match did.do:
        case "append":
            return f" {did.content}×{did.count} expected={did.expected} commit={did.commit or '-'}"
        case "delete" | "truncate":
            return f" before={did.before} expected={did.expected} commit={did.commit}"
        case "arm" | "disarm":
            return f" due={did.due_ms}"
        case _:
            bounds = f" after={did.after} until={did.until} limit={did.limit}{' backwards' if did.backwards else ''}"
            return f" {did.aggregate}{' consistent' if did.consistent else ''}{bounds if did.do == 'read' else ''}"


def _told(did: Invoke, got: Return) -> str:
    match did.do:
        case "append":
            return f" {got.version}"
        case "delete" | "truncate":
            return f" erased={got.erased} first={got.first}" if got.outcome == "ok" else f" {got.version}"
        case "arm" | "disarm":
            return f" acked={got.acked_ms}"
        case "load":
            return f" version={got.version} count={got.count}{' snapshot' if got.is_from_snapshot else ''}"
        case "read":
            return f" {got.events[0][0]}…{got.events[-1][0]}" if got.events else " nothing"


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time."""

    since: float
    until: float


@dataclass(frozen=True, slots=True)
class History:
    """Everything that all processes recorded."""

    operations: list[Operation]
    disturbances: list[Window]
    """When an owner may have been replaced without knowing it."""
    subscribers: dict[str, list[Delivered | Refused]] = field(default_factory=dict[str, list[Delivered | Refused]])

    def delivered(self) -> list[list[Delivered]]:
        """What each subscriber was given."""
        return [[line for line in lines if isinstance(line, Delivered)] for lines in self.subscribers.values()]

    def undisturbed(self, since: float, until: float) -> bool:
        """Whether none of the disturbances reaches into this span."""
        return all(each.until < since or each.since > until for each in self.disturbances)


GRACE_NS = 10_000_000_000
"""How long after a disturbance an owner may still not know that it was replaced."""


def read_histories(folder: Path) -> History:
    """The histories of all processes that wrote into the folder; the nemesis is one of them."""
    operations, disturbances = list[Operation](), list[Window]()
    subscribers = dict[str, list[Delivered | Refused]]()
    for file in sorted(folder.glob("*.jsonl")):
        lines = list(whole_lines(file.read_bytes()))
        operations += _joined(file.stem, lines)
        spans = [line for line in lines if isinstance(line, Stalled | Disturbed)]
        disturbances += [Window(span.since, span.until + GRACE_NS) for span in spans]
        taken = [line for line in lines if isinstance(line, Delivered | Refused)]
        if taken:
            subscribers[file.stem] = taken
    return History(operations, disturbances, subscribers)


def whole_lines(data: bytes) -> Iterator[Line]:
    """All lines but what stands behind the last line's end."""
    for line in data.split(b"\n")[:-1]:
        yield _decode(line)


def _joined(process: str, lines: Iterable[Line]) -> list[Operation]:
    begun = dict[int, Invoke]()
    ended = dict[int, Return]()
    for line in lines:
        if isinstance(line, Invoke):
            begun[line.op] = line
        elif isinstance(line, Return):
            ended[line.op] = line
    return [Operation(process, invoke, ended.get(op)) for op, invoke in begun.items()]
