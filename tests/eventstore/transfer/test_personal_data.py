"""Personal data in a file whose keys stayed behind: exports and imports say so, and so does what is read (E4)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from eventstore.expected import ANY
from eventstore.log import open_log
from eventstore.store import EventStore
from eventstore.subject_keys.masters import VARIABLE, generate
from eventstore.transfer import export_streams, import_streams
from sagalog.cli import execute as run
from schemas import Event, Personal, Redacted, personal
from tests.eventstore.shredded import ADA, CustomerRegistered


class Noted(Event, name="people.noted"):
    text: str


class Traveller(Event, name="people.traveller"):
    who: str
    names: list[Personal[str]] = personal(subject="who")


def people(name: str, log: str) -> EventStore[CustomerRegistered | Noted | Traveller]:
    """A store of two subjects."""
    return EventStore(name, events=[CustomerRegistered, Noted, Traveller], log=log)


@pytest.fixture
async def source(unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A log in memory with three events of two subjects, and one of nobody."""
    monkeypatch.setenv(VARIABLE, generate("first"))
    url = f"memory://{unique('source')}"
    keeping = open_log(url)
    async with people("people", url) as store:
        await store.append("a", [CustomerRegistered(customer_id="ada", name=Personal(ADA))], expected=ANY)
        await store.append("a", [Traveller(who="bob", names=[Personal("Bob"), Personal("Rob")])], expected=ANY)
        await store.append("b", [Traveller(who="ada", names=[Personal(ADA)]), Noted(text=ADA)], expected=ANY)
    yield url
    keeping.close()


@pytest.fixture(params=["people.jsonl", "people.avro"])
def file(source: str, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Its export."""
    path: Path = tmp_path / request.param
    assert export_streams(source, "people", path).has_personal
    return path


@pytest.mark.parametrize("dry_run", [True, False])
async def test_an_import_tells_of_keys_that_are_not_there(
    file: Path, unique: Callable[[str], str], dry_run: bool
) -> None:
    """How many events and subjects; a dry run tells it before anything is written."""
    target = f"memory://{unique('target')}"

    done = await import_streams(target, "people", file, serve_as="people", dry_run=dry_run)

    assert (done.without_keys, done.subjects_without_keys) == (3, 2)


async def test_where_the_keys_are_nothing_is_told(file: Path, source: str) -> None:
    """The same log has them; who was forgotten there is meant to be redacted."""
    async with people("people", source) as store:
        await store.forget("bob")

    done = await import_streams(source, "copy", file, serve_as="copy")

    assert (done.added, done.without_keys, done.subjects_without_keys) == (4, 0, 0)


async def test_a_key_that_was_never_here_is_no_forgotten_subject(
    file: Path, source: str, unique: Callable[[str], str]
) -> None:
    """Living people are not taken for forgotten ones, in the log that has no key of theirs."""
    target = f"memory://{unique('target')}"
    async with people("people", target) as copy:
        await import_streams(target, "people", file)
        [first, *_] = [each.event async for each in copy.read("a")]
        assert isinstance(first, CustomerRegistered)
        missing = first.name.reveal()

    async with people("people", source) as store:
        assert first.name.reveal() == ADA
        await store.forget("ada")
        gone = first.name.reveal()

    assert (missing, str(missing)) == (Redacted("ada", is_forgotten=False), "[key not here]")
    assert (gone, str(gone)) == (Redacted("ada"), "[redacted]")


def test_the_commands_say_it(file: Path, source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As text and as JSON: at the export that keys stay, at the import whose are missing, and what to do."""
    target = f"embedded://{tmp_path}/target"
    export = ["streams", "export", "people", "--log", source, "--to", str(file)]
    import_ = ["streams", "import", "people", str(file), "--log", target, "--serve-as", "people"]

    assert run(export) == run(import_) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "its keys are not in the file" in said
    assert "3 events hold personal data of 2 subjects whose keys are not here" in said
    assert "Import into the log that it comes from" in said

    assert run([*export, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["has_personal"] is True
    assert run([*import_, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["without_keys"], facts["subjects_without_keys"]) == (3, 2)
