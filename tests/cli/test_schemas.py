"""`sagalog schemas`: what is registered, what may be, and whether classes are as committed (S10)."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eventstore.log import open_log
from eventstore.registry import TopicRegistry
from sagalog.cli import execute as run
from schemas import Event, Serde

MESSAGES = """
from collections.abc import Mapping
from schemas import Event, Reply

class OrderPlaced(Event, name="order.placed"):
    order_id: str
    total: str

class OrderPaid(Event):
    order_id: str
"""
MOVED = """
from pydantic import BaseModel
from sagalog import Event, Personal, personal
class Country(BaseModel):
    code: str
class Address(BaseModel):
    street: str
    country: Country
class Moved(Event):
    who: str
    to: Personal[Address] = personal(subject="who")
"""
Said = Callable[..., dict[str, Any]]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Said:
    """What a command says as JSON; it ends with `code`."""

    def answer(*arguments: str, code: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        assert run([*arguments, "--json"]) == code, capsys.readouterr().err
        said: dict[str, Any] = json.loads(capsys.readouterr().out)
        return said

    return answer


_numbers = itertools.count(1)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Write a module and give its name; another one each time, as Python keeps what it imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def write(text: str) -> str:
        name = f"messages_of_the_shop_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


@pytest.fixture
def url(unique: Callable[[str], str]) -> str:
    """A log in memory that holds two schemas of one version of a type."""
    url = f"memory://{unique('schemas')}"

    class Placed(Event, name="order.placed"):
        order_id: str

    class Noted(Event, name="order.placed"):
        order_id: str
        note: str = ""

    log = open_log(url)
    with TopicRegistry(log) as registry:
        Serde(registry, [Placed])
        Serde(registry, [Noted])
    return url


def test_schemas_are_listed(url: str, say: Said, capsys: pytest.CaptureFixture[str]) -> None:
    """Each type with its versions, ids and mode."""
    said = say("schemas", "list", "--log", url)

    assert said["mode"] == "backward_transitive"
    [placed] = said["subjects"]
    assert (placed["name"], [each["id"] for each in placed["schemas"]]) == ("order.placed", [1, 2])
    assert run(["schemas", "list", "--log", url]) == 0
    assert "order.placed  1         avro    1 2  backward_transitive" in capsys.readouterr().out


def test_a_schema_is_shown_by_name_version_or_id(url: str, say: Said, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a version the last one; what is not there is told with what is."""
    assert say("schemas", "show", "order.placed", "--log", url)["id"] == 2
    assert say("schemas", "show", "order.placed", "--version", "1", "--log", url)["id"] == 2
    assert [each["name"] for each in say("schemas", "show", "1", "--log", url)["schema"]["fields"]] == ["order_id"]

    assert run(["schemas", "show", "order.place", "--log", url]) == 1
    assert "did you mean order.placed?" in capsys.readouterr().err
    assert run(["schemas", "show", "order.placed", "--version", "3", "--log", url]) == 1
    assert "order.placed has version 1" in capsys.readouterr().err


def test_a_diff_says_which_modes_allow_it(
    url: str, say: Said, module: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """In the direction old to new, by field and rule."""
    assert say("schemas", "diff", "1", "2", "--log", url)["allowed"][-1] == "full_transitive"
    assert run(["schemas", "mode", "--set", "none", "--log", url]) == 0
    say("schemas", "register", module(MESSAGES), "--log", url)
    said = say("schemas", "diff", "2", "3", "--log", url)
    assert said["allowed"] == ["none", "forward", "forward_transitive"]
    assert [(each["field"], each["rule"]) for each in said["problems"]] == [
        ("total", "READER_FIELD_MISSING_DEFAULT_VALUE")
    ]

    assert run(["schemas", "diff", "1", "2", "--log", url]) == 0
    assert '+      "name": "note",' in capsys.readouterr().out


def test_a_mode_is_set_and_checked(url: str, say: Said, module: Callable[[str], str]) -> None:
    """`register` refuses what the mode forbids with the field's name; with the mode none it does not."""
    changed = module(MESSAGES)

    assert run(["schemas", "register", changed, "--log", url]) == 1
    assert say("schemas", "mode", "order.placed", "--set", "none", "--log", url) == {
        "name": "order.placed", "mode": "none", "is_registered": True,
    }  # fmt: skip
    registered = say("schemas", "register", changed, "--log", url)["registered"]

    assert [(each["id"], each["name"]) for each in registered] == [(3, "order.placed"), (4, "order_paid")]
    assert say("schemas", "mode", "--log", url)["mode"] == "backward_transitive"


def test_a_mode_of_a_type_that_is_not_there_says_so(url: str, say: Said, capsys: pytest.CaptureFixture[str]) -> None:
    """It may be set before the first schema; a slip is seen."""
    assert say("schemas", "mode", "order.plced", "--set", "none", "--log", url) == {
        "name": "order.plced", "mode": "none", "is_registered": False,
    }  # fmt: skip
    assert run(["schemas", "mode", "order.plced", "--log", url]) == 0
    assert "there is no schema order.plced yet: did you mean order.placed?" in capsys.readouterr().out


def test_without_a_log_it_is_said_what_one_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a registry instead."""
    monkeypatch.delenv("SAGALOG_LOG", raising=False)

    assert run(["schemas", "list"]) == 2

    assert "--log or the variable SAGALOG_LOG, or --registry" in capsys.readouterr().err


def kinds(said: dict[str, Any]) -> dict[str, str]:
    """What was found, by type."""
    return {each["name"]: each["kind"] for each in said["findings"]}


def test_check_writes_once_and_agrees_then(say: Said, module: Callable[[str], str], tmp_path: Path) -> None:
    """What is new fails until it was written by --update; then nothing differs."""
    name = module(MESSAGES)
    assert kinds(say("schemas", "check", name, "--folder", "kept", code=1)) == {
        "order.placed": "new", "order_paid": "new",
    }  # fmt: skip

    written = say("schemas", "check", name, "--folder", "kept", "--update")["written"]

    assert written == ["kept/order.placed/v1.avsc", "kept/order_paid/v1.avsc"]
    assert json.loads((tmp_path / "kept/order.placed/v1.avsc").read_text())["name"] == "order.placed"
    assert say("schemas", "check", name, "--folder", "kept") == {"types": 2, "findings": [], "written": []}


def committed(say: Said, module: Callable[[str], str]) -> None:
    """The folder `kept` holds the messages."""
    say("schemas", "check", module(MESSAGES), "--folder", "kept", "--update")


def test_check_keeps_each_compatible_schema(say: Said, module: Callable[[str], str]) -> None:
    """The first one stays beside the next, so that transitive modes see it."""
    committed(say, module)
    changed = module(MESSAGES.replace("total: str", "total: str\n    note: str = ''"))

    assert kinds(say("schemas", "check", changed, "--folder", "kept", code=1)) == {"order.placed": "changed"}
    written = say("schemas", "check", changed, "--folder", "kept", "--update")["written"]
    assert written == ["kept/order.placed/v1-2.avsc"]

    third = module(MESSAGES.replace("total: str", "total: str\n    note: str"))
    assert kinds(say("schemas", "check", third, "--folder", "kept", code=1)) == {"order.placed": "incompatible"}


def test_check_refuses_an_incompatible_change_by_name(
    say: Said, module: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--update writes nothing then; another mode may allow it."""
    committed(say, module)
    changed = module(MESSAGES.replace("total: str", "total: int"))

    assert run(["schemas", "check", changed, "--folder", "kept", "--update"]) == 1

    assert "field total was string, is long (TYPE_MISMATCH)" in capsys.readouterr().out
    assert len(list((tmp_path / "kept/order.placed").iterdir())) == 1
    assert say("schemas", "check", changed, "--folder", "kept", "--mode", "none", "--update")["written"]


def test_check_wants_steps_to_a_new_version(say: Said, module: Callable[[str], str]) -> None:
    """A change that no schema allows is a version, with an upcast from the one before."""
    committed(say, module)
    second = MESSAGES.replace('"order.placed"', '"order.placed", version=2').replace("total: str", "total: int")

    said = say("schemas", "check", module(second), "--folder", "kept", code=1)
    assert [each["kind"] for each in said["findings"]] == ["upcast_missing", "new"]
    assert "field total was string, is long" in said["findings"][0]["said"]

    step = "\n@OrderPlaced.upcast(from_version=1)\ndef _(old: Mapping[str, object]) -> Mapping[str, object]:\n    ...\n"
    written = say("schemas", "check", module(second + step), "--folder", "kept", "--update")["written"]
    assert written == ["kept/order.placed/v2.avsc"]


def test_check_tells_a_renamed_class(say: Said, module: Callable[[str], str]) -> None:
    """Default names are pinned: a class that is renamed would become another type, its old events unknown."""
    committed(say, module)
    renamed = module(MESSAGES.replace("OrderPaid", "PaymentTaken"))

    said = say("schemas", "check", renamed, "--folder", "kept", "--update", code=1)

    [found] = said["findings"]
    assert (found["kind"], found["name"], said["written"]) == ("renamed", "order_paid", [])
    assert "PaymentTaken looks like it, and its name is 'payment_taken'" in found["said"]
    assert "give it name='order_paid'" in found["said"]
    assert kinds(say("schemas", "check", renamed, "--folder", "kept", code=1)) == {"order_paid": "renamed"}


def test_check_tells_a_class_that_is_gone(say: Said, module: Callable[[str], str]) -> None:
    """Its events may be in the log."""
    committed(say, module)
    said = say("schemas", "check", module(MESSAGES.split("class OrderPaid", maxsplit=1)[0]), "--folder", "kept", code=1)

    assert kinds(said) == {"order_paid": "lost"}


def test_check_goes_through_a_package(say: Said, tmp_path: Path, module: Callable[[str], str]) -> None:
    """All modules of it are imported."""
    package = tmp_path / f"shop_{next(_numbers)}"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "events.py").write_text(MESSAGES)

    assert say("schemas", "check", package.name, "--folder", "kept", "--update", "--format", "json")["written"] == [
        "kept/order.placed/v1.json", "kept/order_paid/v1.json",
    ]  # fmt: skip
    assert say("schemas", "check", f"{package.name}.events", "--folder", "kept", "--format", "json")["types"] == 2


@pytest.mark.parametrize("options", [[], ["--update"]])
def test_a_folder_that_is_a_file_is_told(
    tmp_path: Path, module: Callable[[str], str], options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It would look like an empty one, and cannot be written into."""
    (tmp_path / "kept").write_text("")

    assert run(["schemas", "check", module(MESSAGES), "--folder", "kept", *options]) == 1
    assert "kept cannot hold committed schemas (it is a file): give a folder" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_told(
    tmp_path: Path, module: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """As where a file stands in the place of a type's folder."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "order.placed").write_text("")

    assert run(["schemas", "check", module(MESSAGES), "--folder", "kept", "--update"]) == 1
    assert "kept cannot hold committed schemas (" in capsys.readouterr().err


def test_check_takes_personal_data_of_models_inside_of_models(say: Said, module: Callable[[str], str]) -> None:
    """In JSON too; what it wrote is what it finds again."""
    options = ["schemas", "check", module(MOVED), "--folder", "kept", "--format", "json"]
    assert say(*options, "--update")["written"] == ["kept/moved/v1.json"]
    assert say(*options)["findings"] == []


def test_a_module_that_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """It ends with 1 and one line."""
    assert run(["schemas", "check", "no_such_module_at_all", "--folder", "kept"]) == 1
    assert "there is no module 'no_such_module_at_all'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "..", "shop/messages.py"])
def test_what_can_be_no_module_is_named(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is a mistake of who asks, and no defect."""
    assert run(["schemas", "check", name, "--folder", "kept"]) == 1
    assert f"{name!r} names no module" in capsys.readouterr().err
