"""K7: messages that the kernel itself takes, and that no sagalog client would send, stop nobody: now nor on restore."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from eventstore.log import open_log
from eventstore.processor.importing import ImportEvents
from eventstore.processor.snapshotting import OfferSnapshot
from eventstore.state.memory import MemoryStateEngine
from schemas import Handled, Message, Metadata
from tests.eventstore.processor.counters import Add, Added, Bench, Total

GOOD = Metadata(id="good").encode()
HANDLED = Metadata(id="handled", done=Handled(step=1 << 62, input="x", timers=[("later", 1, b"")])).encode()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(open_log("memory://"))
    bench.serde.register([ImportEvents, OfferSnapshot])
    yield bench
    bench.log.close()


def importing(bench: Bench, first: int = 0, timestamp_ms: int = 5, meta: bytes = GOOD) -> Message:
    value = bench.serde.encode(Added(by=5))
    return ImportEvents(first=first, begins=True, timestamps_ms=[timestamp_ms], metas=[meta], values=[value])


def offering(_: Bench) -> Message:
    return OfferSnapshot(aggregate="counter", version=-1, fingerprint=bytes(16), state=b"")


BAD: dict[str, Callable[[Bench], Message]] = {
    "a snapshot of no version": offering,
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
