"""`sagalog dlq`, on a log in memory that the command shares with the test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from consumers import dlq as operations
from consumers.dead_letters import DeadLetter
from consumers.errors import Permanent
from consumers.worker import Worker
from eventstore.clock import ManualClock
from eventstore.log import Log, open_log
from eventstore.registry import TopicRegistry
from sagalog.cli import execute as run
from schemas import Serde
from tests.consumers.host import TestHost
from tests.consumers.worker.bench import Bench, Placed


@pytest.fixture
def url(unique: Callable[[str], str]) -> str:
    """A log of this test's own, by name."""
    return f"memory://{unique('dlq')}"


@pytest.fixture
def bench(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A broken worker with the dead letters of orders a and b; SAGALOG_LOG names its log."""
    monkeypatch.setenv("SAGALOG_LOG", url)
    monkeypatch.setenv("COLUMNS", "200")
    clock, log = ManualClock(), open_log(url)
    made = Bench(TestHost(log=log, clock=clock, serde=Serde(TopicRegistry(log), [Placed])), clock)
    worker, feed = Worker("mailer", topics=["orders"]), made.feed()

    @worker.on
    async def confirm(event: Placed) -> None:
        raise Permanent("no such address")

    feed.send("a", Placed(order="a", number=3))
    feed.send("b", Placed(order="b"))
    made.settle(made.open(worker))
    yield made
    for loop in made.loops:
        loop.stop(clock.monotonic())
    log.close()


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """What the command says as JSON."""
    capsys.readouterr()
    assert run(["dlq", *arguments, "--json"]) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def test_a_reason_of_several_lines_takes_one_in_the_table(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pydantic's; `show` has it as it is."""
    letters = list(operations.find(bench.host.log, operations.Choice()))
    told = [replace(letter, reason="1 validation error\n  order\n    missing") for letter in letters]

    def find(log: Log, choice: operations.Choice) -> Iterator[DeadLetter]:
        return iter(told)

    monkeypatch.setattr(operations, "find", find)

    assert run(["dlq", "list"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(letters)
    assert "1 validation error order missing" in lines[1]


@pytest.mark.usefixtures("bench")
def test_list_is_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """One line per dead letter, with what failed and why."""
    assert run(["dlq", "list"]) == 0

    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["id", "group", "type", "key", "error", "reason", "tries", "at"]
    assert len(rows) == 2
    assert "orders/0/0" in rows[0]
    assert "no such address" in rows[0]


@pytest.mark.usefixtures("bench")
def test_list_selects_and_limits(capsys: pytest.CaptureFixture[str]) -> None:
    """Filters choose; the limit shortens the list and not the count."""
    by_key, limited = answer(capsys, "list", "--key", "b"), answer(capsys, "list", "--limit", "1")

    assert [letter["id"] for letter in by_key["dead_letters"]] == ["orders/0/1"]
    assert (limited["waiting"], len(limited["dead_letters"])) == (2, 1)


@pytest.mark.usefixtures("bench")
def test_show_reads_the_content_without_its_class(capsys: pytest.CaptureFixture[str]) -> None:
    """The content is read with the registered schema alone."""
    said = answer(capsys, "show", "orders/0/0")

    assert said["content"] == {"order": "a", "number": 3}
    assert said["metadata"]["type"] == "order.placed"
    assert run(["dlq", "show", "orders/0/0"]) == 0


@pytest.mark.usefixtures("bench")
@pytest.mark.parametrize("id", ["orders/0/0", "orders/0/99"], ids=["redriven", "never was"])
def test_one_that_does_not_wait_is_not_shown(id: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its topic is there; it was sent back, or never was."""
    answer(capsys, "redrive", "orders/0/0")

    assert run(["dlq", "show", id]) == 1

    said = f"no dead letter {id} waits: it was redriven or discarded, or never was; list those that wait with"
    assert said in capsys.readouterr().err


@pytest.mark.usefixtures("bench")
@pytest.mark.parametrize("command", ["redrive", "discard"])
def test_an_id_of_none_that_waits_is_named(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What waits is done all the same; the command ends with 1."""
    capsys.readouterr()
    assert run(["dlq", command, "orders/0/0", "orders/0/99", "--json"]) == 1

    said = json.loads(capsys.readouterr().out)
    assert (len(said["redriven" if command == "redrive" else "discarded"]), said["missing"]) == (1, ["orders/0/99"])
    assert run(["dlq", command, "orders/0/0"]) == 1
    assert "no dead letter of these ids waits: orders/0/0" in capsys.readouterr().out


def test_redrive_says_what_it_would_do_and_does_it(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run changes nothing; then the chosen one enters the group's redrive topic, and is listed no more."""
    dry = answer(capsys, "redrive", "--key", "a", "--dry-run")
    done = answer(capsys, "redrive", "--key", "a", "--rate", "100")

    assert dry == {**done, "dry_run": True}
    assert done == {"redriven": ["orders/0/0"], "capped": [], "gone": [], "missing": [], "dry_run": False}
    assert len(bench.records("orders.shop.mailer.redrive")) == 1
    assert answer(capsys, "list")["waiting"] == 1


@pytest.mark.usefixtures("bench")
def test_discard_by_id(capsys: pytest.CaptureFixture[str]) -> None:
    """A discarded dead letter is listed no more."""
    assert answer(capsys, "discard", "orders/0/1")["discarded"] == ["orders/0/1"]
    assert [letter["id"] for letter in answer(capsys, "list")["dead_letters"]] == ["orders/0/0"]


@pytest.mark.usefixtures("bench")
@pytest.mark.parametrize("command", ["redrive", "discard"])
def test_nothing_is_done_to_all_by_accident(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a choice, nothing is done; `--everything` is one."""
    assert run(["dlq", command]) == 1
    assert "--everything" in capsys.readouterr().err

    assert run(["dlq", command, "--everything"]) == 0


@pytest.mark.parametrize("command", ["list", "show", "redrive", "discard"])
def test_each_command_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What can be typed is shown."""
    run(["dlq", command, "--help"])

    assert f"sagalog dlq {command}" in capsys.readouterr().out
