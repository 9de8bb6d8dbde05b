"""Alarms that go off at an instant unless they are disarmed before: what shows the order of timers (K9).

An alarm is an entity of a processor of its own. `Arm` sets a timer; `Disarm` is only put into the inbox, as replies to
a saga are, and its sender learns when the log has it. So what was acknowledged before the alarm's instant must disarm
it, however late an owner comes to read it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random
from typing import Literal

from eventstore.component import Plan, Runtime
from eventstore.errors import EventStoreError
from eventstore.log.errors import LogError
from eventstore.log.partition import partition_of
from eventstore.log.port import Producer
from eventstore.processor.port import DecideContext
from eventstore.processor.topics import inbox_of
from schemas import Event, Message, Metadata
from tests.chaos.streams.history import Invoke, Recorder, Return, now
from tests.chaos.streams.model import PARTITIONS

ACK_SECONDS = 10.0
_TIMER = "alarm"


class Arm(Message, name="chaos.arm"):
    due_ms: int


class Disarm(Message, name="chaos.disarm"):
    pass


class Expire(Message, name="chaos.expire"):
    pass


class Armed(Event, name="chaos.armed"):
    due_ms: int


class Disarmed(Event, name="chaos.disarmed"):
    pass


class Expired(Event, name="chaos.expired"):
    pass


ALARM_EVENTS: tuple[type[Event], ...] = (Armed, Disarmed, Expired)


def alarms_of(store: str) -> str:
    """The processor of the alarms beside a store."""
    return f"{store}-alarms"


class Alarms:
    """One alarm per key; its state is the last event."""

    journal: Literal["events", "state"] = "events"
    messages: Sequence[type[Message]] = (Arm, Disarm, Expire, *ALARM_EVENTS)

    def __init__(self, name: str) -> None:
        self.name: str = name
        self.partitions: int | None = PARTITIONS

    def initial(self, key: str) -> Event | None:
        return None

    def evolve(self, state: Event | None, event: Event) -> Event | None:
        return event

    def decide(self, state: Event | None, message: Message, context: DecideContext[Event | None]) -> None:
        match message:
            case Arm(due_ms=due_ms) if state is None:
                context.append(Armed(due_ms=due_ms))
                context.schedule(_TIMER, datetime.fromtimestamp(due_ms / 1000, UTC), Expire())
            case Disarm() if isinstance(state, Armed):
                context.append(Disarmed())
                context.cancel(_TIMER)
            case Expire():
                context.append(Expired())
            case _:
                pass
        context.reply(None)


def plan_of(store: str) -> Plan:
    """What hosts the alarms beside a store."""
    return Plan(name=alarms_of(store), messages=Alarms.messages, processors=(Alarms(alarms_of(store)),))


class AlarmClient:
    """Arms and disarms, one operation after the other, and records it."""

    def __init__(self, store: str, runtime: Runtime, recorder: Recorder, process: str, number: int) -> None:
        self._to, self._runtime, self._recorder = alarms_of(store), runtime, recorder
        self._process, self._number = process, number
        self._producer: Producer | None = None

    async def arm(self, due_ms: int) -> str | None:
        """Set a new alarm; returns its key, None if that may have failed."""
        op = self._recorder.next_op()
        key = f"{self._process}:{op}"
        self._recorder.write(Invoke(op=op, at=now(), caller=self._number, do="arm", stream=key, due_ms=due_ms))
        try:
            await self._runtime.ask(self._to, key, Arm(due_ms=due_ms))
        except EventStoreError as error:
            self._recorder.write(Return(op=op, at=now(), outcome="unknown", error=type(error).__name__))
            return None
        self._recorder.write(Return(op=op, at=now(), outcome="ok"))
        return key

    async def disarm(self, key: str) -> None:
        """Put the message into the inbox; nobody waits for what it does."""
        op = self._recorder.next_op()
        self._recorder.write(Invoke(op=op, at=now(), caller=self._number, do="disarm", stream=key))
        acked_ms = await asyncio.to_thread(self._send, key, f"disarm {key}")
        outcome: Literal["ok", "unknown"] = "ok" if acked_ms else "unknown"
        self._recorder.write(Return(op=op, at=now(), outcome=outcome, acked_ms=acked_ms))

    def _send(self, key: str, id_: str) -> int:
        """When the log had it, by the wall clock; 0: that is not known."""
        host, topic = self._runtime.host, inbox_of(self._to)
        metadata = Metadata(id=id_, type=Disarm.__type_name__)
        acked = list[int]()

        def delivered(error: LogError | None, offset: int) -> None:
            if error is None:
                acked.append(time.time_ns() // 1_000_000)

        try:
            self._producer = self._producer or host.log.producer()
            value, headers = host.serde.encode(Disarm()), (("meta", metadata.encode()),)
            partition = partition_of(key, PARTITIONS)
            self._producer.produce(topic, partition, key.encode(), value, headers, on_delivery=delivered)
            self._producer.flush(ACK_SECONDS)
        except LogError:
            self._close_producer()
        return acked[0] if acked else 0

    def close(self) -> None:
        """Release the connection."""
        self._close_producer()

    def _close_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            threading.Thread(target=producer.close, daemon=True).start()


async def set_alarms(client: AlarmClient, seed: str) -> None:
    """Set alarms for ever, and disarm most of them, often after their time."""
    chance = Random(seed)
    while True:
        wait = chance.uniform(0.3, 4.0)
        due_ms = time.time_ns() // 1_000_000 + int(wait * 1000)
        key = await client.arm(due_ms)
        if key is not None and chance.random() < 0.8:
            await asyncio.sleep(chance.uniform(0, wait))
            await client.disarm(key)
        await asyncio.sleep(chance.uniform(0, 1.0))
