"""An id that a caller chose stands for one command (K8): the same one is repeated, another one is refused by name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from consumers import Client, Service
from eventstore import NO_STREAM, Aggregate, EventStore, decide, evolve
from eventstore.content import differ, digest_of
from eventstore.errors import CommitIdReused, IdReused
from eventstore.log import open_log
from eventstore.processor.rows import Outcome, decode_outcome, encode_outcome
from eventstore.subject_keys.masters import VARIABLE, generate
from schemas import (
    Command,
    Event,
    MemoryRegistry,
    Message,
    Metadata,
    Personal,
    Reply,
    Serde,
    Undecodable,
    personal,
)
from tests.eventstore.processor.states.tallies import Add, Tallied, Tallies


class Paid(Event, name="reused.paid"):
    cents: int


class Balance(Reply, name="reused.balance"):
    cents: int


class Pay(Command[Balance], to="reused", key="account"):
    account: str
    cents: int


class Look(Command[Balance], to="reused", key="account"):
    """Leaves no event."""

    account: str
    why: str


class Name(Command[None], to="reused", key="account"):
    account: str
    holder: Personal[str] = personal(subject="account")


class Account(Aggregate[Paid], name="reused"):
    cents: int = 0

    @decide
    def pay(self, command: Pay) -> Balance:
        self.record(Paid(cents=command.cents))
        return Balance(cents=self.cents)

    @decide
    def look(self, command: Look) -> Balance:
        return Balance(cents=self.cents)

    @decide
    def named(self, command: Name) -> None:
        """Nothing follows."""

    @evolve
    def paid(self, event: Paid) -> None:
        self.cents += event.cents


@asynccontextmanager
async def bank(log: str) -> AsyncGenerator[Service]:
    """The account's service, with rows that are gone when it stops."""
    async with Service("bank", components=[Account], log=log, state="memory://") as service:
        yield service


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def url(request: pytest.FixtureRequest, unique: Callable[[str], str]) -> str:
    """A log of each kind."""
    if request.param == "kafka":
        return f"kafka://{request.getfixturevalue('kafka')}"
    return f"memory://{unique('reused')}"


async def test_another_command_under_the_id_is_refused_by_name(url: str, unique: Callable[[str], str]) -> None:
    """Here, from another process, with and without an event; at a successor that knows what the log says."""
    log, one, two = open_log(url), unique("id"), unique("id")  # keeps it
    account = unique("ann")
    async with bank(url) as service, Client(log=url) as client:
        first = await service.ask(Pay(account=account, cents=5), id=one)
        await service.ask(Look(account=account, why="to see"), id=two)
        for asker in (service, client):
            assert await asker.ask(Pay(account=account, cents=5), id=one) == first
            assert await asker.ask(Look(account=account, why="to see"), id=two) == Balance(cents=5)
            with pytest.raises(IdReused, match=one):
                await asker.ask(Pay(account=account, cents=7), id=one)
            with pytest.raises(IdReused, match=two):
                await asker.ask(Look(account=account, why="to know"), id=two)
            with pytest.raises(IdReused):
                await asker.ask(Look(account=account, why="to see"), id=one)

    async with bank(url) as successor:
        for id, other in ((one, Pay(account=account, cents=7)), (two, Look(account=account, why="to know"))):
            with pytest.raises(IdReused):
                await successor.ask(other, id=id)
        assert await successor.ask(Pay(account=account, cents=5), id=one) == first
        assert await successor.ask(Pay(account=account, cents=1)) == Balance(cents=6)
    log.close()


async def test_personal_data_is_compared_though_it_is_never_sealed_alike(
    unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """E4: by what it says, without showing it."""
    monkeypatch.setenv(VARIABLE, generate("first"))
    async with bank(f"memory://{unique('reused')}") as service:
        await service.ask(Name(account="ann", holder=Personal("Ann")), id="i")
        await service.ask(Name(account="ann", holder=Personal("Ann")), id="i")

        with pytest.raises(IdReused):
            await service.ask(Name(account="ann", holder=Personal("Bob")), id="i")


class Tagged(Event, name="reused.tagged"):
    tags: frozenset[str]
    nested: list[set[int]]


def test_a_set_says_the_same_in_whatever_order_it_is_walked() -> None:
    """E1: Python walks it differently in each process, and a repeat may come from another one."""
    program = (
        "from eventstore.content import content_of\nfrom schemas import MemoryRegistry, Serde\n"
        "from tests.eventstore.processor.test_reused_ids import Tagged\n"
        "serde = Serde(MemoryRegistry(), [Tagged], format={!r})\n"
        "print(content_of(Tagged(tags=frozenset('abcdefgh'), nested=[{{3, 1000, 7}}]), serde))"
    )
    for format in ("avro", "json"):
        said = {
            subprocess.run(
                [sys.executable, "-c", program.format(format)],
                env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
                capture_output=True, check=True, timeout=60,
            ).stdout
            for seed in ("1", "2", "3")
        }  # fmt: skip
        assert len(said) == 1


async def test_an_append_of_sets_is_repeated(unique: Callable[[str], str]) -> None:
    """E1: whatever their order; and other items are other content."""
    async with EventStore("tags", events=[Tagged], log=f"memory://{unique('reused')}") as store:
        await store.append("s", [Tagged(tags=frozenset("ab"), nested=[])], expected=NO_STREAM, commit_id="c")
        again = await store.append("s", [Tagged(tags=frozenset("ba"), nested=[])], expected=NO_STREAM, commit_id="c")
        assert again.version == 0
        with pytest.raises(CommitIdReused):
            await store.append("s", [Tagged(tags=frozenset("bc"), nested=[])], expected=NO_STREAM, commit_id="c")


class Seated(Event, name="reused.seated"):
    seats: dict[str, int]


async def test_an_append_of_mappings_is_repeated(unique: Callable[[str], str]) -> None:
    """E1: mappings are equal in whatever order they were made; another value is other content."""
    async with EventStore("seats", events=[Seated], log=f"memory://{unique('reused')}") as store:
        await store.append("s", [Seated(seats={"a": 1, "b": 2})], expected=NO_STREAM, commit_id="c")
        again = await store.append("s", [Seated(seats={"b": 2, "a": 1})], expected=NO_STREAM, commit_id="c")
        assert again.version == 0
        with pytest.raises(CommitIdReused):
            await store.append("s", [Seated(seats={"a": 2, "b": 1})], expected=NO_STREAM, commit_id="c")


def test_two_versions_of_a_type_are_not_told_apart() -> None:
    """A repeat may come after a deploy: nobody knows then whether it says the same."""

    class PayedBefore(Command[None], to="reused", key="account", name="reused.pay", version=1):
        account: str

    class Payed(Command[None], to="reused", key="account", name="reused.pay", version=2):
        account: str
        cents: int = 0

    @Payed.upcast(from_version=1)
    def _(old: Any) -> dict[str, object]:
        return {"account": old["account"]}

    registry = MemoryRegistry()

    def digest(message: Message) -> int:
        return digest_of(message, Serde(registry, [type(message)]))

    old, new = digest(PayedBefore(account="a")), digest(Payed(account="a"))
    other, serde = digest(Look(account="a", why="")), Serde(registry)
    assert not differ(old, new, serde)
    assert not differ(0, new, serde)
    assert not differ(new, 0, serde)
    assert differ(new, digest(Payed(account="b")), serde)
    assert differ(new, other, serde)


def test_an_outcome_keeps_it() -> None:
    """With an answer and without."""
    for answer in (None, b"", b"\x00answer"):
        for content in (0, 1, 2**63 - 1):
            outcome = Outcome(7, 8, answer, True, content)
            assert decode_outcome(encode_outcome(outcome)) == outcome


@pytest.mark.parametrize("content", [-1, 2**63, 2**200])
def test_a_digest_that_is_none_makes_the_input_undecodable(content: int) -> None:
    """Of a foreign producer: it must not stop whoever keeps it in a row."""
    with pytest.raises(Undecodable):
        Metadata.decode(b'{"v":1,"id":"i","content":%d}' % content)


async def test_a_durable_state_tells_it_too(unique: Callable[[str], str]) -> None:
    """Processors that keep no events have outcomes of what somebody waits for."""
    tallies = Tallies()

    class Hosted:
        name = "tallies"

        def __component__(self) -> Any:
            from eventstore import Plan

            return Plan(name="tallies", messages=tallies.messages, processors=(tallies,))

    async with Service("t", components=[Hosted()], log=f"memory://{unique('t')}", state="memory://") as service:
        assert await service.ask(Add(sensor="a", amount=2), id="i") == Tallied(count=1, amount=2)
        assert await service.ask(Add(sensor="a", amount=2), id="i") == Tallied(count=1, amount=2)
        with pytest.raises(IdReused):
            await service.ask(Add(sensor="a", amount=3), id="i")
