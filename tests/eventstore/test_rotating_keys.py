"""Master keys are rotated, by the command and inside of a service; what cannot be asked is told (E4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from eventstore import ANY
from eventstore.clock import SystemClock
from eventstore.log import open_log
from eventstore.subject_keys import MasterKeys, SubjectForgotten, SubjectKeys
from eventstore.subject_keys.following import Following
from eventstore.subject_keys.masters import VARIABLE, LocalMasterKeys, MasterKeyUnknown, WrappedKey, generate
from sagalog.cli import execute as run
from tests.eventstore.shredded import ADA, ada, service, store
from tests.eventstore.test_shredding import holders, names, wrapped_key
from tests.eventstore.test_shredding_keys import records

WHO = "customer-17"
OLD, NEW = bytes(32), bytes([1]) * 32


class Kms(MasterKeys):
    """A key-management service whose key can be changed."""

    name = "alias/one"

    def current(self) -> str:
        """Its key."""
        return self.name

    def wrap(self, key: bytes, context: bytes) -> WrappedKey:
        """Not for use."""
        return WrappedKey(self.name, bytes(each ^ len(self.name) for each in key))

    def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytes:
        """The other way round."""
        return bytes(each ^ len(wrapped.master) for each in wrapped.data)


def test_the_command_erases_what_the_old_master_wrapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has the folder and the old master key cannot read anything, though no service ran since."""
    url, old = f"embedded://{tmp_path}/log", generate("old")
    monkeypatch.setenv(VARIABLE, old)

    async def fill() -> bytes:
        async with store("customers", url) as customers:
            await customers.append("s", [ada(WHO)], expected=ANY)
            return wrapped_key(customers, WHO)

    wrapped = asyncio.run(fill())
    assert holders(tmp_path, wrapped)

    monkeypatch.setenv(VARIABLE, f"{generate('new')},{old}")
    assert run(["keys", "rotate", "--log", url]) == 0

    assert not holders(tmp_path, wrapped)


def test_a_process_that_follows_erases_what_another_one_rotated(unique: Callable[[str], str]) -> None:
    """On a Kafka it closes the segment, as when somebody is forgotten."""
    log = open_log(f"memory://{unique('keys')}")
    keys = SubjectKeys(log, LocalMasterKeys({"old": OLD}))
    keys.open()
    keys.keys_for([WHO])
    following = Following(keys, SystemClock())
    following.open()
    following.step(0)

    other = SubjectKeys(log, LocalMasterKeys({"new": NEW, "old": OLD}))
    other.open()
    assert other.rewrap() == 1
    assert len(records(log)) == 2
    following.step(0)
    following.stop(0)

    assert len(records(log)) == 1
    keys.close()
    other.close()
    log.close()


async def test_a_service_rotates_what_its_key_management_service_wrapped(
    unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command has no such masters; it says where they are."""
    monkeypatch.delenv(VARIABLE, raising=False)
    url, kms, customers = f"memory://{unique('log')}", Kms(), store(unique("customers"))
    running = service(url, customers)

    @running.provide
    def masters() -> MasterKeys:
        return kms

    async with running:
        await customers.append("s", [ada(WHO)], expected=ANY)
        kms.name = "alias/the-next"
        assert await asyncio.to_thread(run, ["keys", "rotate", "--log", url]) == 2
        assert "await service.rotate_keys()" in capsys.readouterr().err

        assert await running.rotate_keys() == 1

        assert await running.rotate_keys() == 0
        replica = running.runtime.protection.keys()._replica
        found = [replica.wrapped(WHO, key_id) for key_id in replica.key_ids(WHO)]
        assert [each.master for each in found if each is not None] == ["alias/the-next"]
        assert await names(customers, "s") == [ADA]


def test_a_master_that_is_not_here_may_be_a_services(unique: Callable[[str], str]) -> None:
    """The error names both ways out."""
    log = open_log(f"memory://{unique('keys')}")
    keys = SubjectKeys(log, Kms())
    keys.open()
    keys.keys_for([WHO])
    with pytest.raises(MasterKeyUnknown, match=r"await service\.rotate_keys\(\)"):
        SubjectKeys(log, LocalMasterKeys({"m": OLD})).rewrap()
    keys.close()
    log.close()


@pytest.mark.parametrize("subject", [UUID(int=5), 5, None])
async def test_a_subject_is_text(unique: Callable[[str], str], subject: Any) -> None:
    """As a stream's id is."""
    async with store("customers", f"memory://{unique('log')}") as customers:
        for call in (customers.forget, customers.remember):
            with pytest.raises(
                TypeError, match=r"a subject is a str, such as 'customer-17', and not .*str\(customer_id"
            ):
                await call(subject)


def test_the_command_forgets_a_person_of_whom_nothing_is_recorded(
    unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `store.forget` does, also on a log that has no keys yet: nothing personal of them is recorded afterwards."""
    monkeypatch.setenv(VARIABLE, generate("first"))
    url = f"memory://{unique('log')}"
    log = open_log(url)  # keeps it

    assert run(["keys", "forget", WHO, "--log", url]) == 0

    assert capsys.readouterr().out == f"{WHO} is forgotten\n"

    async def append() -> None:
        async with store("customers", url) as customers:
            await customers.append("s", [ada(WHO)], expected=ANY)

    with pytest.raises(SubjectForgotten):
        asyncio.run(append())
    log.close()


def test_an_id_that_names_no_master_key_is_told_of_the_option(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is wrong with the variable."""
    assert run(["keys", "generate", "--id", "a b"]) == 2

    said = capsys.readouterr().err
    assert "--id" in said
    assert "'a b' names no master key: give up to 200 letters, digits and . _ / -" in said
    assert VARIABLE not in said
