"""What a snapshot holds: ciphertext where there is personal data (E4), and what upcasters made of old events (S10)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from consumers import Service
from eventstore import ANY, Aggregate, EventStore, Snapshots, decide, evolve
from eventstore.log import open_log
from eventstore.processor.snapshots import decode_snapshot, snapshot_key
from eventstore.processor.topics import state_of
from eventstore.subject_keys.masters import VARIABLE, generate
from schemas import Event, Personal, Redacted
from tests.eventstore.processor.counters import records_of
from tests.eventstore.shredded import ADA, CustomerRegistered, Register, Welcome, store


class Visitor(Aggregate[CustomerRegistered], name="shredded", snapshot=Snapshots(every=1)):
    names: tuple[Personal[str], ...] = ()

    @decide
    def register(self, command: Register) -> Welcome:
        self.record(CustomerRegistered(customer_id=command.customer_id, name=command.name))
        return Welcome(customer_id=command.customer_id, name=self.names[-1])

    @evolve
    def registered(self, event: CustomerRegistered) -> None:
        self.names = (*self.names, event.name)


def snapshots_of(url: str, processor: str, key: str, name: str) -> list[bytes]:
    """The states in the snapshots that the topic holds of an entity."""
    log = open_log(url)
    try:
        at = snapshot_key(key.encode(), name)
        values = [record.value for record in records_of(log, state_of(processor)) if record.key == at]
    finally:
        log.close()
    found = [decode_snapshot(value) for value in values if value is not None]
    return [one.state for one in found if one is not None]


async def test_personal_data_is_ciphertext_in_snapshots(
    unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """E4: of aggregates and of loaded streams. What is read of one is readable until its subject is forgotten."""
    monkeypatch.setenv(VARIABLE, generate("first"))
    url, subject = f"memory://{unique('shred')}", unique("customer")
    customers = store("customers")
    async with Service("shredded", components=[Visitor, customers], log=url, state="memory://") as running:
        hosting: Any = customers._running()
        await running.ask(Register(customer_id=subject, name=Personal(ADA)))
        await customers.append("s", [CustomerRegistered(customer_id=subject, name=Personal(ADA))], expected=ANY)
        await customers.load(Visitor, "s")
        [of_aggregate] = snapshots_of(url, "shredded", subject, "shredded")
        [of_stream] = snapshots_of(url, "customers", "s", "shredded")

        assert ADA.encode() not in of_aggregate + of_stream
        assert (await customers.load(Visitor, "s")).names[0].reveal() == ADA
        await customers.forget(subject)
        assert (await customers.load(Visitor, "s")).names[0].reveal() == Redacted(subject=subject)
        assert hosting.metrics()["unit shredded"]["processor_snapshots_used_total"] == 2


class PaidFirst(Event, name="snapshots.paid", version=1):
    amount: str


def paid(factor: int) -> type[Event]:
    """The third version of the event, by code that reads the first as so many cents."""

    class Paid(Event, name="snapshots.paid", version=3):
        cents: int
        currency: str

    @Paid.upcast(from_version=1)
    def _(old: Mapping[str, Any]) -> Mapping[str, object]:
        return {"cents": int(old["amount"]) * factor}

    @Paid.upcast(from_version=2)
    def _(old: Mapping[str, Any]) -> Mapping[str, object]:
        return {**old, "currency": "EUR"}

    return Paid


def till(event: type[Event]) -> type[Aggregate[Any]]:
    """An aggregate of it."""

    class Till(Aggregate[event], name="till", snapshot=Snapshots(every=1)):  # type: ignore[valid-type]
        cents: int = 0
        currencies: frozenset[str] = frozenset()

        @evolve
        def paid(self, event: event) -> None:  # type: ignore[valid-type]
            self.cents += event.cents  # type: ignore[attr-defined]
            self.currencies |= {event.currency}  # type: ignore[attr-defined]

    return Till


async def test_upcasters_are_chained_through_snapshots(tmp_path: Path) -> None:
    """S10: version 1 becomes 3 before it is folded; a snapshot holds what was folded, so other upcasters fold anew."""
    url = f"embedded://{tmp_path}/log"
    async with EventStore("payments", events=[PaidFirst], log=url) as old:
        await old.append("a", [PaidFirst(amount="12"), PaidFirst(amount="3")], expected=ANY)
    right, wrong = paid(100), paid(1)
    for event, cents in ((wrong, 15), (wrong, 15), (right, 1_500), (right, 1_500)):
        async with EventStore("payments", events=[event], log=url) as new:
            found: Any = await new.load(till(event), "a")
            assert (found.cents, found.currencies, found.version) == (cents, {"EUR"}, 1)

    assert len(snapshots_of(url, "payments", "a", "till")) == 2
