"""K7: messages that the kernel itself takes, and that no sagalog client would send, stop nobody: now nor on restore."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from eventstore.log import open_log
from eventstore.processor.importing import ImportEvents
from eventstore.processor.questions import ReadPage
from eventstore.processor.snapshotting import OfferSnapshot
from eventstore.state.memory import MemoryStateEngine
from schemas import Handled, Message, Metadata, ReplyTo
from tests.eventstore.processor.counters import Add, Added, Bench, Total

GOOD = Metadata(id="good").encode()
HANDLED = Metadata(id="handled", done=Handled(step=1 << 62, input="x", timers=[("later", 1, b"")])).encode()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(open_log("memory://"))
    bench.serde.register([ImportEvents, OfferSnapshot, ReadPage])
    yield bench
    bench.log.close()


def importing(bench: Bench, first: int = 0, timestamp_ms: int = 5, meta: bytes = GOOD) -> Message:
    value = bench.serde.encode(Added(by=5))
    return ImportEvents(first=first, begins=True, timestamps_ms=[timestamp_ms], metas=[meta], values=[value])


def offering(_: Bench) -> Message:
    return OfferSnapshot(aggregate="counter", version=-1, fingerprint=bytes(16), state=b"")


def asking(_: Bench) -> Message:
    return ReadPage(after=-9, until=-9, backwards=False, events=1, fenced=True, asked_ms=1 << 62)


BAD: dict[str, Callable[[Bench], Message]] = {
    "a snapshot of no version": offering,
    "a page before all versions": asking,
    "no version": lambda bench: importing(bench, first=-1),
    "no time": lambda bench: importing(bench, timestamp_ms=-1),
    "no metadata": lambda bench: importing(bench, meta=b'{"done": "x"'),
    "handled elsewhere": lambda bench: importing(bench, meta=HANDLED),
}


@pytest.mark.parametrize("name", BAD)
def test_others_are_served_by_this_owner_and_the_next(bench: Bench, name: str) -> None:
    """The message has no effect."""
    message = BAD[name](bench)
    headers = (("meta", Metadata(id="bad", type=message.__type_name__).encode()),)
    bench.post_bytes("a", bench.serde.encode(message), headers)
    bench.run()
    assert bench.ask(Add(counter="a", by=1)) == Total(is_=1)
    bench.close()

    successor = Bench(bench.log, clock=bench.clock, registry=bench.registry, state=MemoryStateEngine())

    assert successor.ask(Add(counter="a", by=1)) == Total(is_=2)
    assert len(successor.unit._served.partitions) == 2
    assert sum(len(partition.timers) for partition in successor.unit._served.partitions.values()) == 0


def test_a_digest_that_somebody_made_up_stops_nobody(bench: Bench) -> None:
    """K8: a repeat whose content is said to be of a schema that is in no registry says something else."""
    for content in (0, 7, 1 << 62):
        meta = Metadata(id="once", type="counter.add", content=content, reply=ReplyTo("answers", 0, str(content)))
        bench.post_bytes("a", bench.serde.encode(Add(counter="a", by=1)), (("meta", meta.encode()),))
        bench.run()
    first = Metadata(id="other", type="counter.add", content=1 << 62).encode()
    bench.post_bytes("b", bench.serde.encode(Add(counter="b", by=1)), (("meta", first),))
    second = Metadata(id="other", type="counter.add", content=1 << 61).encode()
    bench.post_bytes("b", bench.serde.encode(Add(counter="b", by=1)), (("meta", second),))

    bench.run()

    assert (bench.events("a"), bench.events("b")) == ([(0, 1)], [(0, 1)])
