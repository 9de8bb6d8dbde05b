"""Crypto-shredding (E4, S8): with the key, personal data goes from log, views, states and dead letters."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from consumers import Client, Service
from eventstore import ANY, NO_STREAM, EventStore, MasterKeys, SubjectForgotten, WrappedKey
from eventstore.errors import CommitIdReused, InputFailed
from eventstore.log import open_log
from eventstore.log.records import TopicPartition
from eventstore.subject_keys.masters import (
    VARIABLE,
    LocalMasterKeys,
    MasterKeyInvalid,
    MasterKeyNotSet,
    MasterKeyUnknown,
    MasterKeyWrong,
    generate,
)
from schemas import Personal, Redacted
from schemas.personal_data import PersonalOpen
from tests.eventstore.shredded import (
    ADA,
    Customer,
    CustomerRegistered,
    Fail,
    Names,
    Register,
    Welcome,
    ada,
    service,
    store,
)
from tests.waiting import eventually_async

REDACTED = "[redacted]"
KEY = "QUJD" * 10 + "QUI="


@pytest.fixture(autouse=True)
def master(monkeypatch: pytest.MonkeyPatch) -> str:
    """A master key of this test's own."""
    key = generate("first")
    monkeypatch.setenv(VARIABLE, key)
    return key


@pytest.fixture(params=["memory", "embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def url(
    request: pytest.FixtureRequest,
    unique: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """A log of each engine."""
    monkeypatch.chdir(tmp_path)
    if request.param == "kafka":
        return f"kafka://{request.getfixturevalue('kafka')}"
    return f"memory://{unique('shred')}" if request.param == "memory" else f"embedded://{tmp_path}/log"


@pytest.fixture
def local(unique: Callable[[str], str]) -> str:
    """A log in memory."""
    return f"memory://{unique('shred')}"


@pytest.fixture
def subject(unique: Callable[[str], str]) -> str:
    """Somebody whom no other test forgets."""
    return unique("customer")


Customers = EventStore[CustomerRegistered]


async def names(customers: Customers, stream: str) -> list[str]:
    """What can be read of a stream's names."""
    return [str(recorded.event.name.reveal()) async for recorded in customers.read(stream)]


def everything(url: str) -> Iterator[bytes]:
    """Keys, values and headers of all records of a log."""
    log = open_log(url)
    try:
        ends = log.end_positions(
            TopicPartition(name, number) for name, found in log.describe().items() for number in range(found.partitions)
        )
        reader = log.reader(dict.fromkeys(ends, 0))
        while any(reader.position(at) < end for at, end in ends.items()):
            for record in reader.read(1_000, 0.1):
                yield b"|".join((record.key or b"", record.value or b"", *(value for _, value in record.headers)))
        reader.close()
    finally:
        log.close()


async def test_what_is_appended_can_be_read_until_its_subject_is_forgotten(
    url: str, unique: Callable[[str], str], subject: str
) -> None:
    """S8 on each engine: in reads and in what was read before; by this process and by one that comes later."""
    name = unique("customers")
    async with store(name, url) as customers:
        await customers.append("s", [ada(subject)], expected=NO_STREAM)
        [before] = [recorded.event async for recorded in customers.read("s")]
        assert before.name.reveal() == ADA

    async with store(name, url) as customers:
        assert await names(customers, "s") == [ADA]
        await customers.forget(subject)
        assert await names(customers, "s") == [REDACTED]
        assert before.name.reveal() == Redacted(subject=subject)

    async with store(name, url) as customers:
        assert await names(customers, "s") == [REDACTED]


async def test_another_process_forgets_with_it(url: str, unique: Callable[[str], str], subject: str) -> None:
    """It had the key in memory; it drops it when the key topic says so, within seconds."""
    one, other = store(unique("customers"), url), store(unique("customers"), url)
    async with one, other:
        await other.append("s", [ada(subject)], expected=ANY)
        [known] = [recorded.event async for recorded in other.read("s")]
        keys = other._running().protection.keys()
        key = known.name.sealed[1:17]
        assert keys.find(subject, key) is not None

        await one.forget(subject)

        await eventually_async(lambda: keys.find(subject, key) is None)


async def test_no_field_is_readable_anywhere_after_it_was_forgotten(
    local: str, unique: Callable[[str], str], subject: str
) -> None:
    """S8: read, load, subscribe, as of, view row, reply, dead letter."""
    customers = store(unique("customers"))
    async with service(local, customers) as running:
        await running.ready()
        welcome = await running.ask(Register(customer_id=subject, name=Personal(ADA)))
        with pytest.raises(InputFailed):
            await running.ask(Fail(customer_id=subject, name=Personal(ADA)))
        await customers.append(subject, [ada(subject)], expected=ANY)
        await running.settled()

        async def seen() -> list[str]:
            row = await running.table(Names.by_id).get(subject)
            loaded = await customers.load(Customer, subject)
            past = await customers.load(Customer, subject, as_of=0)
            subscribed = [recorded.event async for recorded in customers.subscribe(until_end=True)]
            assert row is not None
            assert loaded.name is not None
            assert past.name is not None
            assert isinstance(welcome, Welcome)
            found = [row.name, loaded.name, past.name, welcome.name, *(each.name for each in subscribed)]
            return [str(each.reveal()) for each in (*found, *dead_letters(running))]

        assert await seen() == [ADA] * 6

        await running.forget(subject)

        assert await seen() == [REDACTED] * 6


def dead_letters(running: Service) -> list[Personal[str]]:
    """The names in the aggregate's dead letters."""
    host = running.runtime.host
    topic = "shredded.inbox.shredded.dlq"
    places = [TopicPartition(topic, number) for number in range(host.log.describe([topic])[topic].partitions)]
    ends, reader = host.log.end_positions(places), host.log.reader(dict.fromkeys(places, 0))
    found: list[Personal[str]] = []
    while any(reader.position(at) < end for at, end in ends.items()):
        for record in reader.read(100, 0.1):
            failed = host.serde.decode(record.value or b"")
            assert isinstance(failed, Fail)
            found.append(failed.name)
    reader.close()
    return found


async def test_no_topic_holds_the_value_or_the_key(local: str, unique: Callable[[str], str], subject: str) -> None:
    """Inboxes, events, outcomes, replies, dead letters: ciphertext; and wrapped keys in their own topic only."""
    log = open_log(local)  # keeps it
    customers = store(unique("customers"))
    async with service(local, customers) as running:
        await running.ask(Register(customer_id=subject, name=Personal(ADA)))
        with pytest.raises(InputFailed):
            await running.ask(Fail(customer_id=subject, name=Personal(ADA)))
        async with Client(log=local) as client:
            await client.ask(Register(customer_id=subject, name=Personal(ADA)))
        await customers.append("s", [ada(subject)], expected=ANY)
        await running.settled()
        found = list(everything(local))
        keys = running._running().protection.keys()
        [key_id] = keys._replica.key_ids(subject)
        wrapped = keys._replica.wrapped(subject, key_id)
        key = keys.find(subject, key_id)
    log.close()

    assert wrapped is not None
    assert key is not None
    assert [each for each in found if ADA.encode() in each or b"1815" in each or key in each] == []
    assert sum(wrapped.data in each for each in found) == 1
    assert any(subject.encode() in each for each in found)


async def test_stored_state_of_views_and_aggregates_is_ciphertext(
    local: str, unique: Callable[[str], str], subject: str
) -> None:
    """The bytes of a row, and what a snapshot would hold; both come back as they were."""
    customers = store(unique("customers"))
    async with service(local, customers) as running:
        await running.ask(Register(customer_id=subject, name=Personal(ADA)))
        await running.settled()
        row = await running.table(Names.by_id).get(subject)
        assert row is not None
        data = Names.by_id.values.encode(row)
        await customers.append("s", [ada(subject)], expected=ANY)
        state = (await customers.load(Customer, "s")).model_dump_json()

        assert ADA not in state
        assert ADA.encode() not in data
        back = Customer.model_validate_json(state)
        assert back.name is not None
        assert back.name.reveal() == Names.by_id.values.decode(data).name.reveal() == ADA


async def test_nothing_of_a_forgotten_subject_is_recorded_unless_asked_for(local: str, subject: str) -> None:
    """E4: forgetting ends the key. A new one is made on request, and reads nothing old."""
    async with store("customers", local) as customers:
        await customers.append("s", [ada(subject)], expected=ANY)
        await customers.forget(subject)
        await customers.forget(subject)
        with pytest.raises(SubjectForgotten, match=subject):
            await customers.append("s", [ada(subject)], expected=ANY)

        await customers.remember(subject)
        await customers.append("s", [ada(subject)], expected=ANY)

        assert await names(customers, "s") == [REDACTED, ADA]
        await customers.forget(subject)
        assert await names(customers, "s") == [REDACTED, REDACTED]


async def test_who_was_never_recorded_can_be_forgotten(local: str, subject: str) -> None:
    """It holds for what would come later."""
    async with store("customers", local) as customers:
        await customers.forget(subject)

        with pytest.raises(SubjectForgotten):
            await customers.append("s", [ada(subject)], expected=ANY)


async def test_others_stay_readable(local: str, subject: str) -> None:
    """One key per subject."""
    async with store("customers", local) as customers:
        await customers.append("s", [ada(subject), ada("other")], expected=ANY)
        await customers.forget(subject)

        assert await names(customers, "s") == [REDACTED, ADA]


async def test_a_commit_id_knows_the_same_content(local: str, subject: str) -> None:
    """Though it is sealed differently each time; other content is told."""
    async with store("customers", local) as customers:
        first = await customers.append("s", [ada(subject)], expected=NO_STREAM, commit_id="c")
        again = await customers.append("s", [ada(subject)], expected=NO_STREAM, commit_id="c")
        other = CustomerRegistered(customer_id=subject, name=Personal("Bob"))
        with pytest.raises(CommitIdReused):
            await customers.append("s", [other], expected=NO_STREAM, commit_id="c")

        assert again.version == first.version
        assert await names(customers, "s") == [ADA]


async def test_a_repeat_returns_the_first_result_after_its_subject_was_forgotten(
    url: str, unique: Callable[[str], str], subject: str
) -> None:
    """E1, E4: it happened, which the commit id tells; its content can be compared with nothing, for the key is gone."""
    async with store(unique("customers"), url) as customers:
        first = await customers.append("s", [ada(subject)], expected=NO_STREAM, commit_id="c")
        await customers.append("s", [ada("other")], expected=ANY)
        await customers.forget(subject)

        again = await customers.append("s", [ada(subject)], expected=NO_STREAM, commit_id="c")
        await customers.remember(subject)
        later = await customers.append("s", [ada(subject)], expected=NO_STREAM, commit_id="c")

        assert [again.version, later.version] == [first.version] * 2
        assert await names(customers, "s") == [REDACTED, ADA]


async def test_what_never_happened_is_refused_under_its_commit_id_once_its_subject_is_forgotten(
    local: str, subject: str
) -> None:
    """E4: nothing of the subject is recorded, and the id stays free."""
    async with store("customers", local) as customers:
        await customers.append("s", [ada("other")], expected=ANY)
        await customers.forget(subject)
        with pytest.raises(SubjectForgotten):
            await customers.append("s", [ada(subject)], expected=ANY, commit_id="c")
        assert await names(customers, "s") == [ADA]

        await customers.remember(subject)
        appended = await customers.append("s", [ada(subject)], expected=ANY, commit_id="c")

        assert appended.version == 1
        with pytest.raises(CommitIdReused):
            await customers.append("s", [ada("other")], expected=ANY, commit_id="c")


async def test_the_commit_id_of_an_erasure_is_no_append_of_the_forgotten(local: str, subject: str) -> None:
    """E1: an id that stands for something else is told, whoever was forgotten."""
    async with store("customers", local) as customers:
        await customers.append("s", [ada(subject)], expected=ANY)
        await customers.delete("s", expected=ANY, commit_id="c")
        await customers.forget(subject)

        with pytest.raises(CommitIdReused):
            await customers.append("s", [ada(subject)], expected=ANY, commit_id="c")


async def test_a_process_that_lacks_a_master_key_says_so_when_it_starts(
    local: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers of what is not personal need none, so it is no error yet."""
    monkeypatch.delenv(VARIABLE)

    with capture_logs() as told:
        async with store("customers", local):
            pass

    assert [each["variable"] for each in told if each["event"] == "master_key_not_set"] == [VARIABLE]


async def test_without_a_master_key_nothing_is_written(
    local: str, subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says which variable to set."""
    monkeypatch.delenv(VARIABLE)
    async with store("customers", local) as customers:
        with pytest.raises(MasterKeyNotSet, match="SAGALOG_MASTER_KEY"):
            await customers.append("s", [ada(subject)], expected=ANY)

        assert await names(customers, "s") == []


async def test_a_missing_or_wrong_master_key_is_named(
    local: str, subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which id, and of whom; it is no redaction, for the key is there."""
    log = open_log(local)  # keeps it
    async with store("customers", local) as customers:
        await customers.append("s", [ada(subject)], expected=ANY)

    monkeypatch.setenv(VARIABLE, generate("second"))
    async with store("customers", local) as customers:
        with pytest.raises(MasterKeyUnknown, match=rf"{subject} is wrapped by the master key 'first'"):
            await names(customers, "s")

    monkeypatch.setenv(VARIABLE, generate("first"))
    async with store("customers", local) as customers:
        with pytest.raises(MasterKeyWrong, match="'first'"):
            await names(customers, "s")
    log.close()


async def test_a_master_key_is_rotated(local: str, subject: str, master: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new one in front wraps what is new; `rotate` wraps the rest, then the old one is not needed."""
    second = generate("second")
    log = open_log(local)  # keeps it
    async with store("customers", local) as customers:
        await customers.append("s", [ada(subject), ada("forgotten")], expected=ANY)
        await customers.forget("forgotten")
        await customers.remember("forgotten")

    monkeypatch.setenv(VARIABLE, f"{second},{master}")
    async with store("customers", local) as customers:
        await customers.append("s", [ada("new"), ada("forgotten")], expected=ANY)
        assert await names(customers, "s") == [ADA, REDACTED, ADA, ADA]
        assert customers._running().protection.keys().rewrap() == 2

    compact(log)
    monkeypatch.setenv(VARIABLE, second)
    async with store("customers", local) as customers:
        assert await names(customers, "s") == [ADA, REDACTED, ADA, ADA]
        await customers.forget("forgotten")
        assert await names(customers, "s") == [ADA, REDACTED, ADA, REDACTED]
    log.close()


def compact(log: Any) -> None:
    """What the log's cleaner does some time."""
    log.erase("sagalog.keys")


@pytest.mark.parametrize("text", ["secret", "a:???", "a:QUJDRA==", f"a b:{KEY}", f"a:{KEY},a:{KEY}"])
def test_what_is_no_master_key_is_told_without_showing_it(text: str) -> None:
    """Keys are never printed."""
    with pytest.raises(MasterKeyInvalid, match=VARIABLE) as refused:
        LocalMasterKeys.parse(text)
    assert text.rpartition(":")[2] not in str(refused.value)


class Kms(MasterKeys):
    """A key-management service, as far as it matters: it counts, and wraps by exclusive or."""

    def __init__(self) -> None:
        self.calls, self._key = 0, os.urandom(32)

    def current(self) -> str:
        """Its only key."""
        return "kms/1"

    def wrap(self, key: bytes, context: bytes) -> WrappedKey:
        """Not for use."""
        self.calls += 1
        return WrappedKey("kms/1", bytes(a ^ b for a, b in zip(key, self._key, strict=True)))

    def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytes:
        """The other way round."""
        return self.wrap(wrapped.data, context).data


async def test_a_key_management_service_takes_the_masters_place(
    local: str, unique: Callable[[str], str], subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `provide`; it is asked once per key, not per value."""
    monkeypatch.delenv(VARIABLE)
    kms, customers = Kms(), store(unique("customers"))
    running = service(local, customers)

    @running.provide
    def masters() -> MasterKeys:
        return kms

    async with running:
        for _ in range(3):
            await customers.append("s", [ada(subject)], expected=ANY)

        assert await names(customers, "s") == [ADA] * 3
        assert kms.calls == 2


async def test_an_open_value_elsewhere_is_refused(local: str, subject: str) -> None:
    """What is not appended or asked is protected first, which keeps its message."""
    async with store("customers", local) as customers:
        serde = customers._running().host.serde
        with pytest.raises(PersonalOpen, match="protect"):
            serde.encode(ada(subject))

        sealed = await customers.protect(ada(subject))

        assert serde.decode(serde.encode(sealed)) == sealed
        assert sealed.name.reveal() == ADA


async def test_the_embedded_engine_erases_the_key_from_its_folder(tmp_path: Path, subject: str) -> None:
    """E4: no file holds the wrapped key any more, while the process runs."""
    async with store("customers", f"embedded://{tmp_path}/log") as customers:
        await customers.append("s", [ada(subject)], expected=ANY)
        wrapped = wrapped_key(customers, subject)
        assert holders(tmp_path, wrapped)

        await customers.forget(subject)

        await eventually_async(lambda: not holders(tmp_path, wrapped))
        await customers.append("s", [ada("other")], expected=ANY)
        assert holders(tmp_path, wrapped_key(customers, "other"))


def wrapped_key(customers: Customers, subject: str) -> bytes:
    """The bytes of a subject's key, as they are stored."""
    replica = customers._running().protection.keys()._replica
    [key_id] = replica.key_ids(subject)
    found = replica.wrapped(subject, key_id)
    assert found is not None
    return found.data


def holders(folder: Path, data: bytes) -> list[str]:
    """The files that hold these bytes. One that goes meanwhile holds them no more."""
    found: list[str] = []
    for path in folder.rglob("*"):
        try:
            if path.is_file() and data in path.read_bytes():
                found.append(path.name)
        except FileNotFoundError:
            continue
    return found
