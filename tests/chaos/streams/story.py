"""Histories and logs that are made up: what the tests of the checker show it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from eventstore.appending import append_id
from eventstore.log.partition import partition_of
from eventstore.streams import Position
from schemas import Event
from tests.chaos.streams.alarms import Armed
from tests.chaos.streams.checker import Verdict, check
from tests.chaos.streams.history import (
    ANYTHING,
    Delivered,
    Disturbed,
    Invoke,
    Kind,
    Outcome,
    Recorder,
    Return,
    read_histories,
)
from tests.chaos.streams.log_scan import Final, Logged, LoggedAlarm, LoggedErasure
from tests.chaos.streams.model import PARTITIONS

HOME = partition_of("s", PARTITIONS)
A, B, C = "a#0/1", "b#0/1", "c#0/1"


class Story:
    """A history of the stream `s`, told in seconds, and what the log has."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._recorders: dict[str, Recorder] = {}
        self.final = Final()

    def log(self, *names: str, versions: Sequence[int] | None = None, partition: int = HOME) -> None:
        """The log has these events, by default at the versions that come next."""
        logged = self.final.streams["s"]
        first = logged[-1].version + 1 if logged else 0
        for place, name in enumerate(names):
            version = first + place if versions is None else versions[place]
            logged.append(Logged(version, name, partition, len(logged), 0))
            self.final.left["s"].setdefault(version, name)

    def log_erasure(self, first: int, head: int, commit: str, *, done: int = 0) -> None:
        """The log says that this commit erased what is below a version, and how far tombstones are."""
        self.final.erasures["s"].append(LoggedErasure(first, head, done, append_id("s", commit)))

    def clean(self, *versions: int, tombstones: bool = True) -> None:
        """The topic has tombstones, or nothing, in the place of these events."""
        for version in versions:
            if tombstones:
                self.final.left["s"][version] = None
            else:
                del self.final.left["s"][version]

    def log_alarm(self, *events: tuple[type[Event], float], due: float) -> None:
        """The log has these events of the alarm `k`, each decided on at a second."""
        for kind, at in events:
            alarm = LoggedAlarm(kind.__type_name__, int(due * 1000) if kind is Armed else 0, 0, int(at * 1000))
            self.final.alarms["k"].append(alarm)

    def alarm(self, began: float, ended: float | None, *, disarmed_at: float | None = None) -> None:
        """A call that set the alarm `k`, or, with the second at which the log had it, its end."""
        do: Kind = "arm" if disarmed_at is None else "disarm"
        result = Return(op=0, at=0, outcome="ok", acked_ms=int((disarmed_at or 0) * 1000))
        self._tell("a", do, began, ended, result, stream="k")

    def erase(
        self, commit: str, began: float, ended: float | None, outcome: Outcome = "ok", erased: int = 0, first: int = 0,
        *, before: int | None = None, expected: int = ANYTHING, head: int | None = None,
    ) -> None:  # fmt: skip
        """A call that tried to erase; `head`: what it was told, if it lost its race."""
        result = Return(op=0, at=0, outcome=outcome, version=head, erased=erased, first=first)
        self._tell("a", "delete" if before is None else "truncate", began, ended, result,
                   expected=expected, commit=commit, before=before)  # fmt: skip

    def deliver(self, *events: tuple[int, str], offset: int, subscriber: str = "x.subscriber") -> None:
        """A subscriber was given these events, and goes on from an offset."""
        position = str(Position.at(HOME, offset))
        self._recorder(subscriber).write(Delivered(0, [("s", version, name) for version, name in events], position))

    def append(
        self, content: str, began: float, ended: float | None, outcome: Outcome = "ok", version: int | None = None, *,
        expected: int = ANYTHING, commit: str = "", count: int = 1,
    ) -> None:  # fmt: skip
        """A call that tried to append; `ended` None: its process ended before."""
        self._tell("a", "append", began, ended, Return(op=0, at=0, outcome=outcome, version=version),
                   expected=expected, commit=commit, content=content, count=count)  # fmt: skip

    def read(
        self, began: float, ended: float, *events: tuple[int, str], consistent: bool = False, way: str = "owner",
        after: int | None = None, until: int | None = None, backwards: bool = False, limit: int | None = None,
        process: str = "r",
    ) -> None:  # fmt: skip
        """A read and what it gave."""
        result = Return(op=0, at=0, outcome="ok", events=list(events), way=way)
        self._tell(process, "read", began, ended, result, consistent=consistent, after=after, until=until,
                   backwards=backwards, limit=limit)  # fmt: skip

    def load(
        self, began: float, ended: float, count: int, digest: str, *, version: int | None = None,
        aggregate: str = "notes", consistent: bool = False,
    ) -> None:  # fmt: skip
        """A load and what it folded, from the first event unless a version is given."""
        head = count - 1 if version is None else version
        result = Return(op=0, at=0, outcome="ok", version=head, count=count, digest=digest, way="owner")
        self._tell("r", "load", began, ended, result, aggregate=aggregate, consistent=consistent)

    def disturb(self, since: float, until: float) -> None:
        """The nemesis was at work."""
        self._recorder("nemesis").write(Disturbed(_ns(since), _ns(until)))

    def verdict(self) -> Verdict:
        """What the checker says."""
        return check(read_histories(self._folder), self.final)

    def _tell(
        self, process: str, do: Kind, began: float, ended: float | None, result: Return, *, stream: str = "s",
        **options: object,
    ) -> None:  # fmt: skip
        recorder = self._recorder(process)
        op = recorder.next_op()
        recorder.write(Invoke(op=op, at=_ns(began), caller=0, do=do, stream=stream, **options))  # type: ignore[arg-type]
        if ended is not None:
            recorder.write(replace(result, op=op, at=_ns(ended)))

    def _recorder(self, process: str) -> Recorder:
        if process not in self._recorders:
            self._recorders[process] = Recorder(self._folder / f"{process}.jsonl")
        return self._recorders[process]

    def close(self) -> None:
        for recorder in self._recorders.values():
            recorder.close()


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
