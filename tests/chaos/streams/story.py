"""Histories and logs that are made up: what the tests of the checker show it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eventstore.log.partition import partition_of
from tests.chaos.streams.checker import Verdict, check
from tests.chaos.streams.history import ANYTHING, Disturbed, Invoke, Kind, Outcome, Recorder, Return, read_histories
from tests.chaos.streams.log_scan import Final, Logged
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

    def load(self, began: float, ended: float, count: int, digest: str, *, consistent: bool = False) -> None:
        """A load and what it folded."""
        result = Return(op=0, at=0, outcome="ok", count=count, digest=digest, way="owner")
        self._tell("r", "load", began, ended, result, consistent=consistent)

    def disturb(self, since: float, until: float) -> None:
        """The nemesis was at work."""
        self._recorder("nemesis").write(Disturbed(_ns(since), _ns(until)))

    def verdict(self) -> Verdict:
        """What the checker says."""
        return check(read_histories(self._folder), self.final)

    def _tell(
        self, process: str, do: Kind, began: float, ended: float | None, result: Return, **options: object
    ) -> None:
        recorder = self._recorder(process)
        op = recorder.next_op()
        recorder.write(Invoke(op=op, at=_ns(began), caller=0, do=do, stream="s", **options))  # type: ignore[arg-type]
        if ended is not None:
            recorder.write(
                Return(
                    op=op, at=_ns(ended), outcome=result.outcome, version=result.version, events=result.events,
                    count=result.count, digest=result.digest, way=result.way,
                )
            )  # fmt: skip

    def _recorder(self, process: str) -> Recorder:
        if process not in self._recorders:
            self._recorders[process] = Recorder(self._folder / f"{process}.jsonl")
        return self._recorders[process]

    def close(self) -> None:
        for recorder in self._recorders.values():
            recorder.close()


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
