"""The stateful workload by processors that keep states, exactly once: count and sum per key, one output for each event.

JSON commands of about 140 bytes, 10,000 keys, 4 partitions. The bare loop and two processors read the same records: one
is a class, a `DurableState`, the other a `StateProcessor` over a msgspec struct. All do it exactly once, with a
changelog record for each key that a transaction changed, one output for each record, and rows in RocksDB. An output of
the bare loop and of the `StateProcessor` is a plain record of two numbers, that of the class a command to another
service, with its metadata. Each is timed from its first transaction to its last. What they computed is compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any, Literal

import msgspec

from benchmarks.bare import Loop
from benchmarks.bare_totals import Totals, totals_loop
from benchmarks.figures import Figure, Target
from benchmarks.readings import KEYS, SENSORS, Reading, reading
from benchmarks.setting import PARTITIONS, RUN, Setting, Stopwatch, until
from eventstore import decide
from eventstore.component import Plan
from eventstore.durable import DurableState
from eventstore.hosting import Hosting
from eventstore.log import open_log
from eventstore.log.partition import partition_of
from eventstore.log.port import Log
from eventstore.log.records import Topic
from eventstore.process_host import ProcessHost, make_host
from eventstore.processor.changelog import PREFIX as STATE_PREFIX
from eventstore.processor.port import AnyProcessor, DecideContext, StateContext
from eventstore.processor.topics import inbox_of, topics_of
from schemas import Command, Message, Metadata, Serde

CLASS, STRUCT = f"bench_{RUN}_class", f"bench_{RUN}_struct"
OUTPUTS, COUNTS = f"bench_{RUN}_outputs", f"bench-{RUN}-counts"
HANDLED = "processor_inputs_total"


class Measured(Reading, Command[None], to=STRUCT, key="sensor", name="bench.measured"):
    """For the struct."""


class MeasuredToo(Reading, Command[None], to=CLASS, key="sensor", name="bench.measured_too"):
    """The same for the class."""


class Counted(Command[None], to=OUTPUTS, key="sensor", name="bench.counted"):
    """The output."""

    sensor: str
    count: int
    amount: int


class ByClass(DurableState, name=CLASS):
    """Count and sum, as a user writes it."""

    count: int = 0
    amount: int = 0

    @decide
    def measured(self, command: MeasuredToo, context: DecideContext[Any]) -> None:
        """Count it and say so."""
        self.count += 1
        self.amount += command.amount
        context.send(Counted(sensor=command.sensor, count=self.count, amount=self.amount))


class Sum(msgspec.Struct):
    count: int = 0
    amount: int = 0


class ByStruct:
    """Count and sum, as one who is in a hurry writes it."""

    name: str = STRUCT
    partitions: int | None = PARTITIONS
    journal: Literal["state"] = "state"
    messages: Sequence[type[Message]] = (Measured, Counted)

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(Sum).decode

    def initial(self, key: str) -> Sum:
        """Nothing yet."""
        return Sum()

    def decide(self, state: Sum, message: Message, context: StateContext[Sum]) -> Sum:
        """Count it and say so."""
        assert isinstance(message, Measured)
        state.count += 1
        state.amount += message.amount
        context.emit(COUNTS, message.sensor, self._encode(state))
        return state

    def encode_state(self, state: Sum) -> bytes:
        """Two numbers."""
        return self._encode(state)

    def decode_state(self, key: str, data: bytes) -> Sum:
        """What was encoded."""
        return self._decode(data)


def measure(setting: Setting) -> list[Figure]:
    """The bare loop, the struct, the class."""
    count = setting.count(1_000_000, 25_000)
    log = open_log(setting.url)
    host = make_host(f"bench-{RUN}", log, state=setting.state)
    log.create([Topic(name=name, partitions=PARTITIONS) for name in (inbox_of(OUTPUTS), COUNTS)])
    struct, plan = ByStruct(), ByClass.__component__()
    figures: list[Figure] = []
    bare: Loop | None = None
    expected: Totals = {}
    runs: list[tuple[str, AnyProcessor, type[Measured | MeasuredToo]]]
    runs = [("struct", struct, Measured), ("class", plan.processors[0], MeasuredToo)]
    for name, processor, kind in runs:
        log.create(topics_of(processor, host.service))
        assert host.registry is not None
        host.serde = Serde(host.registry, [*processor.messages, Counted], format="json")
        fill(log, host.serde, processor.name, kind, count)
        if bare is None and setting.bootstrap:
            bare, expected = totals_loop(setting.bootstrap, setting.folder / "bare", inbox_of(processor.name), count)
        rate, cpu, found = _service(host, processor, count)
        assert bare is None or found == expected, "the processor and the bare loop disagree"
        aim = Target(ratio=0.5) if bare else Target(at_least=80_000)
        figures += [
            Figure(f"processor with journal=state, {name}", rate, "/s", bare.per_second if bare else None, aim),
            Figure(
                f"its processor time of a record, {name}", cpu, "µs", bare.cpu_us if bare else None, Target(at_most=12)
            ),
        ]
    host.close()
    log.close()
    return figures


def fill(log: Log, serde: Serde, name: str, kind: type[Measured | MeasuredToo], count: int) -> None:
    """Write the commands."""
    places, random = [partition_of(sensor, PARTITIONS) for sensor in SENSORS], Random(1)
    producer, inbox = log.producer(), inbox_of(name)
    for number in range(count):
        key = random.randrange(KEYS)
        command = reading(kind, SENSORS[key], number % 1_000)
        meta = Metadata(id=f"{number:024x}", type=kind.__type_name__, correlation=f"{number:024x}").encode()
        producer.produce(inbox, places[key], SENSORS[key].encode(), serde.encode(command), (("meta", meta),))
        if number % 1_000 == 0:
            producer.poll(0)
    producer.flush(60)
    producer.close()


def _service(host: ProcessHost, processor: AnyProcessor, count: int) -> tuple[float, float, Totals]:
    """Records a second and µs each, between the first batch and the last; and what was computed."""
    hosting = Hosting(host, [Plan(name=processor.name, processors=[processor], messages=[Counted])])
    hosting.start()
    try:
        until(lambda: metric(hosting, HANDLED) > 0)
        first, watch = metric(hosting, HANDLED), Stopwatch()
        until(lambda: metric(hosting, HANDLED) >= count, every_s=0.02)
        seconds, cpu = watch.seconds, watch.cpu
        until(lambda: not hosting.busy_loop(), every_s=0.05)
        return (count - first) / seconds, cpu / (count - first) * 1e6, _totals(hosting, processor)
    finally:
        hosting.stop(timedelta(seconds=5))


def _totals(hosting: Hosting, processor: AnyProcessor) -> Totals:
    """What the rows of the processor say."""
    found: Totals = {}
    decode = msgspec.json.Decoder(Sum).decode
    one_each = {partition_of(sensor, PARTITIONS): sensor for sensor in SENSORS[:99]}
    for key in one_each.values():
        index = hosting.index(processor.name, key)
        assert index is not None
        for row, value in index._state.scan(STATE_PREFIX, STATE_PREFIX + b"\xff"):  # pyright: ignore[reportPrivateUsage]
            one = decode(value[value.index(b"{") :])
            found[row[1:].decode()] = one.count, one.amount
    return found


def metric(hosting: Hosting, name: str) -> float:
    return sum(loop.get(name, 0.0) for loop in hosting.metrics().values())
