"""`sagalog topics` and `sagalog group`, on logs in memory and on a real Kafka."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any, Literal

import pytest
from structlog.testing import capture_logs

from consumers import Service
from eventstore import EventStore
from eventstore.log import Log, Topic, TopicPartition, open_log
from eventstore.log.drift import warn_of_drift
from eventstore.log.errors import LogError, NotAuthorized
from eventstore.log.local.topics import Topics
from sagalog.cli import execute as run
from schemas import Event
from tests.waiting import eventually


class Happened(Event, name="topics.happened"):
    """Something."""


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def url(request: pytest.FixtureRequest, unique: Callable[[str], str]) -> str:
    """A log in memory, or a real Kafka."""
    return f"kafka://{request.getfixturevalue('kafka')}" if request.param == "kafka" else f"memory://{unique('log')}"


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """What the command says as JSON."""
    capsys.readouterr()
    assert run([*arguments, "--json"]) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def fill(log: Log, topic: str) -> None:
    """A topic of three partitions with two records each."""
    log.create([Topic(name=topic, partitions=3)])
    producer = log.producer()
    for number in range(6):
        producer.produce(topic, number % 3, b"key", b"value")
    producer.flush()
    producer.close()


class Member:
    """Hears what a member of a group has."""

    def __init__(self) -> None:
        self.has: set[TopicPartition] = set()
        self.gave_up = 0

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """They are its own now."""
        self.has |= set(partitions)

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """They go to somebody else."""
        self.gave_up += len(partitions)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """They are gone."""
        self.gave_up += len(partitions)


def test_topics_are_listed(url: str, topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its partitions and what the manifest says."""
    log = open_log(url)
    fill(log, topic)
    listed = {one["name"]: one for one in answer(capsys, "topics", "--log", url)["topics"]}
    assert (listed[topic]["partitions"], listed[topic]["manifest"]) == (3, 3)

    assert run(["topics", "--log", url]) == 0
    assert any(line.split() == [topic, "3", "as", "frozen"] for line in capsys.readouterr().out.splitlines())
    log.close()


def test_a_table_that_is_piped_is_not_cut(unique: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    """Programs that read what is printed find whole names, however long they are."""
    url, names = f"memory://{unique('log')}", [letter * 150 for letter in "ab"]
    log = open_log(url)
    log.create([Topic(name=name, partitions=1) for name in names])

    assert run(["topics", "--log", url]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[-2:]] == names
    log.close()


def test_a_group_is_told_where_to_go_on(
    url: str, topic: str, unique: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Start and end of each partition are committed, and can be seen."""
    log, group = open_log(url), unique("group")
    fill(log, topic)
    places = [TopicPartition(topic, number) for number in range(3)]
    for to, offset in (("end", 2), ("start", 0)):
        said = answer(capsys, "group", "reset", group, "--log", url, "--topic", topic, "--to", to, "--yes")

        assert said["positions"] == {str(number): offset for number in range(3)}
        positions = log.group_positions(group, places)
        assert {position.offset for position in positions.values() if position is not None} == {offset}
    assert group in answer(capsys, "group", "list", "--log", url)["groups"]
    log.close()


def test_a_group_at_work_is_left_alone(
    url: str, unique: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """With live members it is refused, and says to stop them; afterwards it works."""
    name = unique("busy")
    inbox, store = f"{name}.inbox", EventStore(name, events=[Happened])
    with Service(name, components=[store], log=url, state="memory://").blocking() as service:
        eventually(lambda: not service.asynchronous.not_ready(), 30)
        assert run(["group", "reset", name, "--log", url, "--topic", inbox, "--to", "end"]) == 1
        assert "has live members" in capsys.readouterr().err
        if url.startswith("kafka:"):
            return

        log = open_log(url)
    answer(capsys, "group", "reset", name, "--log", url, "--topic", inbox, "--to", "end")
    log.close()


@pytest.mark.parametrize("given", ["there", "not-there"])
def test_a_group_at_work_is_not_disturbed(
    url: str, topic: str, given: str, unique: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Topic and members are looked at before anybody joins: its members keep their partitions."""
    log, group, member, may_stop = open_log(url), unique("busy"), Member(), Flag()
    fill(log, topic)
    consumer = log.group(group, [topic], member)

    def work() -> None:
        while not may_stop.is_set():
            consumer.poll(1, 0.02)

    thread = Thread(target=work)
    thread.start()
    try:
        eventually(lambda: len(member.has) == 3, 20)
        asked = topic if given == "there" else f"{topic}-typo"
        assert run(["group", "reset", group, "--log", url, "--topic", asked, "--to", "end", "--yes"]) == 1
    finally:
        may_stop.set()
        thread.join()

    assert ("has live members" if given == "there" else "does not exist") in capsys.readouterr().err
    assert (len(member.has), member.gave_up) == (3, 0)
    consumer.close()
    log.close()


def test_records_that_wait_are_skipped_only_when_it_is_confirmed(
    url: str, topic: str, unique: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """How many, and in which partition, is said before; nothing is changed by then. Markers do not count."""
    log, group = open_log(url), unique("group")
    fill(log, topic)
    reset = ["group", "reset", group, "--log", url, "--topic", topic, "--to"]
    assert answer(capsys, *reset, "start", "--yes")["repeated"] == {}
    unit = log.transactor(unique("unit"))
    unit.begin()
    unit.produce(topic, 1, b"key", b"value")
    unit.commit()
    unit.close()

    assert run([*reset, "end"]) == 1
    said = capsys.readouterr().err
    positions = log.group_positions(group, [TopicPartition(topic, 1)])

    assert f"group {group} would never read 7 records that wait in {topic} (2 in partition 0, 3 in partition 1" in said
    assert said.rstrip().endswith("give --yes")
    assert {position.offset for position in positions.values() if position} == {0}
    assert answer(capsys, *reset, "end", "--yes")["skipped"] == {"0": 2, "1": 3, "2": 2}
    assert answer(capsys, *reset, "end")["skipped"] == {}
    assert run([*reset, "start"]) == 0
    assert "partition 1: 0, repeats 3 records" in capsys.readouterr().out
    log.close()


def test_a_group_that_is_new_to_a_topic_is_told(
    url: str, topic: str, unique: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be a misspelt one."""
    log, group = open_log(url), unique("library")
    fill(log, topic)
    answer(capsys, "group", "reset", group, "--log", url, "--topic", topic, "--to", "start", "--yes")
    typo = group.replace("library", "libary")

    assert run(["group", "reset", typo, "--log", url, "--topic", topic, "--to", "start"]) == 1

    assert f"group {typo} has no positions in {topic} so far, did you mean {group!r}?" in capsys.readouterr().err
    assert typo not in log.groups()
    log.close()


def test_what_the_service_before_decided_on_does_not_wait(
    url: str, unique: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Who takes over a processor skips what its predecessor left in the inbox, not what it decided on."""
    log, old, new, inbox = open_log(url), unique("old"), unique("new"), f"{unique('box')}.inbox"
    fill(log, inbox)
    answer(capsys, "group", "reset", old, "--log", url, "--topic", inbox, "--to", "end", "--yes")
    producer = log.producer()
    producer.send(inbox, 1, b"key", b"value").result(10)
    producer.close()

    said = answer(capsys, "group", "reset", new, "--log", url, "--topic", inbox, "--to", "end", "--yes")

    assert (said["skipped"], said["new"]) == ({"1": 1}, True)
    log.close()


@pytest.mark.parametrize(
    "command", [["group", "list"], ["topics"], ["dlq", "list"], ["schemas", "list"], ["saga", "list"]]
)
def test_what_is_logged_is_no_part_of_the_answer(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Programs read the answer: that a broker is slow is told on standard error."""
    nobody = "kafka://127.0.0.1:1?api_timeout=0.5"

    assert run([*command, "--log", nobody, "--json"]) == 1

    said = capsys.readouterr()
    assert (said.out, "no_answer_yet" in said.err) == ("", True)


def test_a_group_without_a_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is opened."""
    assert run(["group", "reset", "", "--log", "memory://", "--topic", "t", "--to", "end"]) == 2
    assert "a group has a name" in capsys.readouterr().err


def test_a_missing_topic_is_explained(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It ends with 1 and one line."""
    with closing(open_log(url)):
        assert run(["group", "reset", "g", "--log", url, "--topic", "nowhere-at-all", "--to", "end"]) == 1
    assert "'nowhere-at-all' does not exist" in capsys.readouterr().err


LOOKING = (
    ["topics"],
    ["group", "list"],
    ["group", "reset", "g", "--topic", "t", "--to", "end"],
    ["saga", "list"],
    ["saga", "show", "order", "1"],
    ["dlq", "list"],
    ["dlq", "show", "t/0/0"],
    ["dlq", "redrive", "--everything"],
    ["dlq", "discard", "--everything"],
)


@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
def test_a_command_that_looks_makes_no_log(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that was misspelt is named, and not made."""
    assert run([*command, "--log", f"embedded://{tmp_path}/typo"]) == 1

    assert f"there is no log in {tmp_path}/typo: correct the URL" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["memory://", "memory://of-nobody?partitions=2"])
@pytest.mark.parametrize("command", [*LOOKING, ["streams", "import", "s", "file", "--serve-as", "s"]], ids=" ".join)
def test_a_log_that_ends_with_the_command_is_refused(
    command: list[str], url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it holds nobody else can see, and what is written there is lost."""
    assert run([*command, "--log", url]) == 1

    said = capsys.readouterr().err
    assert f"{url} is in the memory of one process" in said
    assert "give a log that is kept, such as kafka://" in said


@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
def test_without_a_log_it_is_said_what_one_is(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable, and an example of each kind of URL, in one line."""
    monkeypatch.delenv("SAGALOG_LOG", raising=False)

    assert run(command) == 2

    said = capsys.readouterr().err
    for part in ("--log or the variable SAGALOG_LOG", "kafka://localhost:9092", "embedded:///"):
        assert part in said
    assert "memory://" not in said
    assert said.count("\n") == 1


def test_what_else_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """As the command calls it."""
    assert run(["group", "reset", "g", "--log", "memory://", "--to", "end"]) == 2
    assert "--topic" in capsys.readouterr().err


def test_where_is_start_or_end(capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else is refused."""
    assert run(["group", "reset", "g", "--log", "memory://", "--topic", "t", "--to", "middle"]) == 2
    assert "start" in capsys.readouterr().err


async def test_settings_that_drifted_are_told_and_mended(
    url: str, unique: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """S7: by topic, name, wanted and actual value; the check fails until they are mended."""
    shop, log = unique("shop"), open_log(url)
    store = EventStore(shop, events=[Happened], log=url)
    async with store:
        pass
    changed = {"max.compaction.lag.ms": "5000", "retention.ms": "6000"}
    log.configure(f"{shop}.events", {"max.compaction.lag.ms": "5000"})
    log.configure(f"{shop}.inbox", {"retention.ms": "6000"})

    with capture_logs() as told:
        async with store:
            pass
    capsys.readouterr()
    assert run(["topics", "check", "--log", url, "--json"]) == 1
    found = [drift for drift in json.loads(capsys.readouterr().out)["drift"] if drift["topic"].startswith(shop)]
    assert {drift["setting"]: drift["actual"] for drift in found} == changed
    assert {drift["topic"]: drift["wanted"] for drift in found} == {
        f"{shop}.events": str(28 * 24 * 3600 * 1000), f"{shop}.inbox": str(7 * 24 * 3600 * 1000)
    }  # fmt: skip
    warned = [one for one in told if one["event"] == "topic_drifted"]
    assert [{name: one[name] for name in found[0]} for one in warned] == found
    assert {one["log_level"] for one in warned} == {"info"}
    [summary] = [one for one in told if one["event"] == "topics_drifted"]
    assert (summary["log_level"], summary["settings"], len(summary["first"])) == ("warning", 2, 2)
    assert summary["mend"] == "sagalog topics check --fix"

    assert run(["topics", "check", "--log", url]) == 1
    assert "To change them: sagalog topics check --fix" in capsys.readouterr().out
    assert run(["topics", "check", "--log", url, "--fix"]) == 0
    assert f"{shop}.inbox" in capsys.readouterr().out

    assert answer(capsys, "topics", "check", "--log", url)["drift"] == []
    log.close()


def test_a_topic_that_cannot_be_mended_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first is refused and named, the second is changed; the command ends with 1."""
    url = f"embedded://{tmp_path}"
    with closing(open_log(url)) as log:
        for name in ("a", "b"):
            log.create([Topic(name=name, partitions=1, retention_ms=1_000)])
            log.configure(name, {"retention.ms": "9"})
    configure = Topics.configure

    def refuse_first(topics: Topics, topic: str, settings: Mapping[str, str]) -> None:
        if topic == "a":
            raise LogError("not today")
        configure(topics, topic, settings)

    monkeypatch.setattr(Topics, "configure", refuse_first)

    assert run(["topics", "check", "--log", url, "--fix"]) == 1
    assert "NOT changed: a: not today" in capsys.readouterr().out
    assert run(["topics", "check", "--log", url, "--json"]) == 1
    assert [drift["topic"] for drift in json.loads(capsys.readouterr().out)["drift"]] == ["a"]


@pytest.mark.parametrize(("retention", "policy"), [("compacted", "compact"), ("forever", "delete")])
async def test_each_profile_has_its_settings(
    url: str, unique: Callable[[str], str], retention: Literal["compacted", "forever"], policy: str
) -> None:
    """S7: a store's topics have what its profile says, and a start finds no drift."""
    shop, log = unique("shop"), open_log(url)
    with capture_logs() as told:
        async with EventStore(shop, events=[Happened], log=url, retention=retention):
            found = log.configuration([f"{shop}.events", f"{shop}.state"])
    log.close()

    assert (found[f"{shop}.events"]["cleanup.policy"], found[f"{shop}.state"]["cleanup.policy"]) == (policy, "compact")
    if retention == "forever":
        assert (found[f"{shop}.events"]["retention.ms"], found[f"{shop}.events"]["retention.bytes"]) == ("-1", "-1")
    assert not [one for one in told if one["event"] == "topic_drifted"]


def test_a_program_that_may_not_look_at_settings_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be checked is said, and is no reason to stand still."""
    log = open_log("memory://")

    def refused(names: Iterable[str]) -> dict[str, dict[str, str]]:
        raise NotAuthorized("ask for the settings of topics", "denied")

    monkeypatch.setattr(log, "configuration", refused)
    with capture_logs() as told:
        warn_of_drift(log, [])

    assert [one["event"] for one in told] == ["topics_not_checked"]
