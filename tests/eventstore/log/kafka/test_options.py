"""What a kafka:// URL may say, and an address where nobody answers."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from functools import partial

import pytest
from structlog.testing import capture_logs

from eventstore.log.errors import BadLogUrl, BrokerUnreachable, LogClosed
from eventstore.log.kafka import KafkaLog
from eventstore.log.kafka import open as open_kafka
from eventstore.log.records import Topic, TopicPartition

NOBODY = "127.0.0.1:1"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"partitoins": "3"}, "did you mean partitions"),
        ({"partitions": "0"}, "partitions is a whole number from 1"),
        ({"api_timeout": "soon"}, "api_timeout is a number of seconds"),
        ({"acks": "1"}, "the guarantees rest on it"),
        ({"isolation.level": "read_uncommitted"}, "the guarantees rest on it"),
        ({"security.protocol": "carrier-pigeon"}, "security.protocol"),
        ({"sasl.user": "x"}, "no option 'sasl.user'"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, str], says: str) -> None:
    """An option that is unknown, ours to set or of a wrong value is refused before anything connects."""
    with pytest.raises(BadLogUrl, match=says):
        open_kafka(NOBODY, options)


@pytest.mark.parametrize("address", ["", "host:port", ":9092", "a:1,"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    """Each broker is host:port."""
    with pytest.raises(BadLogUrl):
        open_kafka(address, {})


def test_a_secret_does_not_show() -> None:
    """Neither the log's URL nor its errors hold a password."""
    log = open_kafka(NOBODY, {"sasl.password": "hush"})

    assert "hush" not in log.url
    log.close()


@pytest.mark.parametrize(
    "call",
    [
        partial(KafkaLog.create, topics=[Topic(name="nowhere")]),
        KafkaLog.describe,
        KafkaLog.producer,
        partial(KafkaLog.transactor, transactional_id="nobody"),
        partial(KafkaLog.reader, positions={TopicPartition("nowhere", 0): 0}),
        partial(KafkaLog.end_positions, partitions=[TopicPartition("nowhere", 0)]),
        KafkaLog.groups,
    ],
)
def test_where_nobody_answers_the_address_is_named_in_time(call: Callable[[KafkaLog], object]) -> None:
    """BrokerUnreachable comes within api_timeout, with the address."""
    log, begun = open_kafka(NOBODY, {"api_timeout": "1"}), time.monotonic()

    with pytest.raises(BrokerUnreachable, match=NOBODY):
        call(log)

    assert time.monotonic() - begun < 5
    log.close()


def test_that_nobody_answers_yet_is_told_once_while_it_is_tried() -> None:
    """Within 2 s, with the address and for how long; the error that comes at last has no chain that says it again."""
    log = open_kafka(NOBODY, {"api_timeout": "2"})

    with capture_logs() as told:
        with pytest.raises(BrokerUnreachable) as raised:
            log.describe()
        with pytest.raises(BrokerUnreachable):
            log.groups()

    assert [one for one in told if one["event"] == "no_answer_yet"] == [
        {"event": "no_answer_yet", "log_level": "warning", "address": NOBODY, "trying_for_s": 2.0}
    ]
    assert "".join(traceback.format_exception(raised.value)).count("Traceback") == 1
    log.close()


def test_a_closed_log_says_so() -> None:
    """A call on a closed log raises LogClosed."""
    log = open_kafka(NOBODY, {})
    log.close()

    with pytest.raises(LogClosed):
        log.describe()
