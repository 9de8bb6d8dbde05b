"""`sagalog run`: what it refuses, and a service on one machine from its start to SIGTERM."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from consumers.supervise import MISUSED, supervise
from sagalog.cli import execute as run
from tests.consumers.service.app import fresh
from tests.consumers.service.processes import APP, Run, get

MODULE = "tests.consumers.service.app"


@pytest.fixture
def spare(monkeypatch: pytest.MonkeyPatch) -> str:
    """A service of this test's own: running one changes it."""
    monkeypatch.setattr(f"{MODULE}.spare", fresh(), raising=False)
    return f"{MODULE}:spare"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("shop", "names no service: give MODULE:SERVICE"),
        ("shop:", "names no service: give MODULE:SERVICE"),
        (MODULE, f"names no service: did you mean {APP}?"),
        (f"{MODULE}:", f"names no service: did you mean {APP}?"),
        ("tests/consumers/service/app.py:service", f"names no service: did you mean {APP}?"),
        ("tests/consumers/service/app.py", f"names no service: did you mean {APP}?"),
        ("tests/waiting.py", "names no service: give MODULE:SERVICE"),
        ("shop-1:service", "names no service: give MODULE:SERVICE"),
        ("nowhere.app:service", "there is no module 'nowhere.app'"),
        (f"{MODULE}:nothing", f"has no 'nothing': did you mean {APP}?"),
        (f"{MODULE}:not_a_service", f"is no Service but a Client: did you mean {APP}?"),
        (f"{MODULE}:Counter", f"is no Service but the class Counter, derived from Aggregate: did you mean {APP}?"),
        ("tests.waiting:eventually", "is no Service but a function: define one there"),
    ],
)
def test_what_names_no_service_is_explained(target: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each mistake has one line that says what to correct."""
    assert run(["run", target, "--log", "memory://"]) == 1

    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_slot_that_names_no_folder_is_explained(
    spare: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would lead elsewhere, or stand in no transactional id."""
    monkeypatch.setenv("SAGALOG_SLOT", "../north")

    assert run(["run", spare, "--log", "memory://"]) == 1

    assert "SAGALOG_SLOT names no slot: '../north' holds '/'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--log", "embedded:///tmp/x", "--processes", "2"], "give --log kafka://host:9092"),
        (["--log", "memory://", "--processes", "2"], "memory:// belongs to one"),
        (["--log", "kafka://localhost:1", "--processes", "0"], "give 1 or more"),
        (["--log", "memory://", "--only", "nothing"], "it has tally, wishes, tally_totals.v1, granting, noting"),
        (["--log", "kafka://localhost:1", "--processes", "2", "--http", "here"], "is no host:port"),
        (["--log", "memory://", "--http", "here"], "host:port"),
        (["--log", "nats://"], "there is no engine 'nats'"),
        ([], "give --log or the variable SAGALOG_LOG"),
    ],
)
def test_what_cannot_be_run_is_explained(
    options: list[str], said: str, spare: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options that cannot work are refused by name, before anything runs."""
    monkeypatch.delenv("SAGALOG_LOG", raising=False)
    assert run(["run", spare, *options]) == 1

    assert said in capsys.readouterr().err


def test_a_module_that_fails_shows_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the user's module raises is not hidden."""
    (tmp_path / "broken_app.py").write_text("import a_module_that_is_missing\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_missing"):
        run(["run", "broken_app:service", "--log", "memory://"])


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_one_process_from_start_to_end(how: signal.Signals, tmp_path: Path) -> None:
    """One line when it is ready, with a true address; a signal ends it with 0, and its endpoint with it."""
    with Run(tmp_path, "--log", f"embedded://{tmp_path}/log", "--http", "127.0.0.1:0") as process:
        [line] = process.wait_ready()
        assert (line["ready"], line["slot"], line["pid"]) == ("tallies", "0", process.process.pid)
        assert get(line["address"], "/ready")[0] == 200

        process.process.send_signal(how)

        assert process.process.wait(30) == 0
        with pytest.raises(OSError, match="refused"):
            get(line["address"], "/live")
        assert '"service_stopped"' in process.logged()
        assert all(json.loads(line)["slot"] == "0" for line in process.logged().splitlines())


def test_other_commands_look_into_a_log_that_is_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rule B: while a process owns the embedded folder, commands are answered by it."""
    url = f"embedded://{tmp_path}/log"
    with Run(tmp_path, "--log", url) as process:
        process.wait_ready()

        for command, said in (("topics", "tally.inbox"), ("group list", "tallies.noting"), ("saga list", "no sagas")):
            assert run([*command.split(), "--log", url]) == 0
            assert said in capsys.readouterr().out
        assert run(["group", "reset", "tallies", "--log", url, "--topic", "tally.inbox", "--to", "end"]) == 1
        assert "has live members" in capsys.readouterr().err


def test_a_process_that_was_asked_wrongly_is_not_started_again() -> None:
    """Exit code 2 ends the supervision with 2."""
    assert supervise(2, lambda number: ["sh", "-c", f"exit {MISUSED}"]) == MISUSED


def test_each_process_has_its_slot_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slots are counted; where SAGALOG_SLOT names the machine, its name comes first; the dead are replaced."""
    monkeypatch.setenv("SAGALOG_SLOT", "north")
    monkeypatch.setattr("consumers.supervise.FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("consumers.supervise.LOOK_SECONDS", 0.05)
    notes = tmp_path / "notes"
    script = f'echo "$SAGALOG_SLOT" >> {notes}; [ "$(wc -l < {notes})" -ge 4 ] && exit {MISUSED}; exit 1'

    assert supervise(2, lambda number: ["sh", "-c", script]) == MISUSED

    assert {"north-0", "north-1"} == set(notes.read_text().split())
    assert len(notes.read_text().split()) >= 4


def test_help_says_what_can_be_typed(capsys: pytest.CaptureFixture[str]) -> None:
    """Examples are shown."""
    run(["run", "--help"])
    assert "sagalog run shop.app:service --log kafka://localhost:9092 --processes 4" in capsys.readouterr().out


def test_ports_follow_slots(spare: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several processes take the ports from the given one on; port 0 stays 0."""
    asked = list[list[str]]()

    def started(count: int, command: Callable[[int], list[str]], **_: object) -> int:
        asked.extend(command(number) for number in range(count))
        return 0

    monkeypatch.setattr("sagalog.cli.run.supervise", started)
    for port in ("8080", "0"):
        assert run(["run", spare, "--log", "kafka://a:1", "--processes", "2", "--http", f"0.0.0.0:{port}"]) == 0

    assert [command[command.index("--http") + 1] for command in asked] == [
        "0.0.0.0:8080", "0.0.0.0:8081", "0.0.0.0:0", "0.0.0.0:0",
    ]  # fmt: skip
    assert not any("--processes" in command for command in asked)


def test_each_process_gets_its_standby(spare: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option goes on to every process, and only where it was given."""
    asked = list[list[str]]()

    def started(count: int, command: Callable[[int], list[str]], **_: object) -> int:
        asked.extend(command(number) for number in range(count))
        return 0

    monkeypatch.setattr("sagalog.cli.run.supervise", started)
    for more in (["--standby"], []):
        assert run(["run", spare, "--log", "kafka://a:1", "--processes", "2", *more]) == 0

    assert ["--standby" in command for command in asked] == [True, True, False, False]
