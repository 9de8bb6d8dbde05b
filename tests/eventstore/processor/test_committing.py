"""What the local index shows while a commit is under way."""

from __future__ import annotations

import pytest

from eventstore.log import open_log
from eventstore.log.partition import partition_of
from eventstore.log.records import Topic
from schemas import ReplyTo
from tests.eventstore.processor.counters import Add, Bench


def test_no_index_is_older_than_an_answer_that_is_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """K15: an answer to another process is part of the transaction, so what it says may be known before it is applied:
    until then the index of that entity, and of no other, is not asked."""
    bench = Bench(open_log("memory://"))
    bench.log.create([Topic(name="answers", partitions=1)])
    bench.ask(Add(counter="a", by=1))
    bench.run()
    place, other = partition_of("a", 2), next(key for key in "bcdefgh" if partition_of(key, 2) == partition_of("a", 2))
    commits, shown = bench.unit._commits, list[tuple[bool, bool]]()
    committed = commits.commit

    def commit(*arguments: object, **options: object) -> object:
        ends = committed(*arguments, **options)  # type: ignore[arg-type]  # passed on as they came
        shown.append((_has_index("a"), _has_index(other)))
        return ends

    def _has_index(key: str) -> bool:
        return bench.unit.index("counter", place, key) is not None

    monkeypatch.setattr(commits, "commit", commit)
    bench.post(Add(counter="a", by=1), reply=ReplyTo("answers", 0, "c"))
    bench.run(lambda: bool(shown))
    during, after = shown[0], _has_index("a")
    shown.clear()
    bench.ask(Add(counter="a", by=1))

    assert during == (False, True)
    assert after
    assert shown == [(True, True)]  # who asked here learns of it when it is applied
