"""The command line as a whole: help, version, errors in one line, exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sagalog.broker import KAFKA_VERSION
from sagalog.broker.readiness import node_ids
from sagalog.cli import execute as run


def test_help_names_the_groups(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` lists what there is and ends with 0."""
    assert run(["--help"]) == 0
    assert "broker" in capsys.readouterr().out


def test_help_imports_no_group() -> None:
    """Showing the help loads no module of any group, so it is quick however many there are."""
    program = (
        "import sys\nfrom sagalog.cli import execute\nexecute(['--help'])\n"
        "print([m for m in sys.modules if m.startswith('sagalog.cli.')], file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert sorted(json.loads(done.stderr.replace("'", '"'))) == ["sagalog.cli.output", "sagalog.cli.version"]


def test_help_of_a_group_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """What can be typed is shown, not only described."""
    run(["broker", "--help"])

    assert "sagalog broker --nodes 3 --json" in capsys.readouterr().out


def test_an_unknown_command_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake in the command ends with 2, one line, and a suggestion."""
    assert run(["brokr"]) == 2

    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert 'Did you mean "broker"?' in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["topics", "chek"], 'Unknown command "chek". Did you mean "check"? See `sagalog topics --help`.'),
        (["topics", "zzz"], 'Unknown command "zzz". It has check. See `sagalog topics --help`.'),
        (
            ["topics", "check", "all", "of"],
            "`sagalog topics check` does not take all of. See `sagalog topics check --help`.",
        ),
        (["broker", "x"], "`sagalog broker` does not take x. See `sagalog broker --help`."),
    ],
)
def test_what_a_command_does_not_take_is_named(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a group also works alone, it may be a misspelt command of it."""
    monkeypatch.setenv("SAGALOG_LOG", "memory://")

    assert run(arguments) == 2

    assert capsys.readouterr().err == f"sagalog: {said}\n"


def test_a_wrong_value_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """A value that is not among the choices ends with 2."""
    assert run(["broker", "--nodes", "2"]) == 2
    assert "Choose from: 1, 3" in capsys.readouterr().err


def test_a_failure_is_one_line_with_the_next_action(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of ours ends with 1 and says what to do, without a traceback."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setattr("sagalog.broker.provide._FOREIGN_S", 0.2)

    assert run(["broker"]) == 1

    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "KAFKA_BOOTSTRAP is 127.0.0.1:1, where no Kafka answers: correct it" in said


@pytest.mark.parametrize("port", ["99999", "-1"])
def test_a_port_that_cannot_be_one_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, before anything is looked for."""
    assert run(["broker", "--port", port]) == 1
    assert capsys.readouterr().err == f"sagalog: {port} is no port: give 1 to 65535, or 0 for any free one\n"


@pytest.mark.kafka
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_broker_runs_until_it_is_interrupted(
    how: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sagalog broker --json` says where Kafka answers; a signal ends it with 0 and Kafka with it."""
    monkeypatch.delenv("KAFKA_BOOTSTRAP", raising=False)
    command = [sys.executable, "-m", "sagalog", "broker", "--json", "--port", "0", "--folder", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        assert node_ids(facts["bootstrap"], timeout_s=10) == {1}

        process.send_signal(how)
        code = process.wait(30)

    assert code == 0
    assert (facts["kafka"], facts["nodes"]) == (KAFKA_VERSION, 1)
    assert node_ids(facts["bootstrap"], timeout_s=0.5) == set()
