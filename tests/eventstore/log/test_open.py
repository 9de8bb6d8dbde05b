"""A log is opened by URL, and a wrong URL says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventstore.log import Topic, open_log
from eventstore.log.errors import BadLogUrl, LogClosed
from eventstore.log.memory import discard


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "no scheme"),
        ("localhost", "no scheme"),
        ("kafak://localhost:9092", "no engine 'kafak'"),
        ("memory:name", "two slashes"),
        ("memory://a/b", "no slash"),
        ("memory://?partition=3", "no option 'partition'"),
        ("memory://?partitions=0", "positive number"),
        ("memory://?partitions=many", "positive number"),
        ("memory://?partitions=1&partitions=2", "twice"),
        ("memory://?partitions", "name=value"),
        ("embedded://folder", "three slashes"),
        ("embedded:", "names no folder"),
        ("embedded:///", "names no folder"),
        ("embedded:///tmp/x?fsync=always", "commit` or `none"),
        ("kafka:localhost:9092", "two slashes"),
        ("kafka://", "host:port"),
    ],
)
def test_wrong_url_says_what_is_wrong(url: str, why: str) -> None:
    """The reason is precise, and the message shows right ones."""
    with pytest.raises(BadLogUrl, match=why) as caught:
        open_log(url)

    assert "memory://" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("127.0.0.1:9092", "kafka://127.0.0.1:9092"),
        ("kafka:9092", "kafka://kafka:9092"),
        ("a.local:9092,b.local:9092", "kafka://a.local:9092,b.local:9092"),
        ("kafak://localhost:9092", "kafka://localhost:9092"),
        ("embeded:///data", "embedded:///data"),
        ("/data/log", "embedded:///data/log"),
    ],
)
def test_a_wrong_url_says_which_one_was_meant(url: str, meant: str) -> None:
    """Brokers or a folder without a scheme, and a misspelt scheme."""
    with pytest.raises(BadLogUrl) as caught:
        open_log(url)

    assert f"did you mean {meant}?" in str(caught.value)


def test_options_of_local_engines() -> None:
    """Partitions and the largest record are taken from the URL."""
    log = open_log("memory://?partitions=7&message_max_bytes=100")
    log.create([Topic(name="t")])

    assert log.describe()["t"].partitions == 7
    assert log.message_max_bytes == 100


def test_memory_is_private_without_a_name() -> None:
    """Two anonymous logs are two logs, two of one name are one, until it is discarded."""
    one, two = open_log("memory://"), open_log("memory://")
    red, also_red = open_log("memory://test-open-red"), open_log("memory://test-open-red")
    for log in (one, red):
        log.create([Topic(name="t")])

    seen = [list(log.describe()) for log in (two, also_red)]
    discard("test-open-red")

    assert seen == [[], ["t"]]
    assert open_log("memory://test-open-red").describe() == {}
    with pytest.raises(LogClosed):
        red.describe()
    discard("test-open-red")


def test_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`embedded:data` lies in the working folder; a percent sign escapes."""
    monkeypatch.chdir(tmp_path)

    open_log("embedded:data/my%20log").close()

    assert (tmp_path / "data" / "my log" / "log").is_dir()


@pytest.mark.parametrize("partitions", [0, -1])
def test_a_topic_has_partitions(partitions: int) -> None:
    """Refused before anything is made: the manifest would keep the number for ever."""
    with pytest.raises(ValueError, match=rf"orders\.events: partitions={partitions}: give 1 or more"):
        Topic(name="orders.events", partitions=partitions)
