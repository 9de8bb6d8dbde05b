"""What is told of what librdkafka logs."""

from __future__ import annotations

import logging

import pytest
from structlog.testing import capture_logs

from eventstore.log.kafka.diagnostics import Diagnostics


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("FAIL [rdkafka#producer-1] [thrd:b]: connection refused", "warning"),
        ("ADDPARTS [rdkafka#producer-1] [thrd:main]: Failed to add partition: old epoch", "debug"),
        ("TXNERR [rdkafka#producer-1] [thrd:main]: Fatal transaction error: fenced", "debug"),
        ("FATAL [rdkafka#producer-1] [thrd:main]: Fatal error: fenced", "debug"),
    ],
)
def test_what_a_call_raises_is_no_warning_besides(line: str, level: str) -> None:
    """Two processes that start together fence each other over the schemas and go on: nobody need read of FATAL."""
    with capture_logs() as told:
        Diagnostics("shop").log(logging.WARNING, "%s", line)

    assert [(one["log_level"], one["line"]) for one in told] == [(level, line)]


def test_one_kind_is_told_once_in_a_while() -> None:
    """A broker that is away would fill the log."""
    diagnostics = Diagnostics("shop")

    with capture_logs() as told:
        for number in range(3):
            diagnostics.log(logging.WARNING, "FAIL: attempt %d", number)

    assert [one["line"] for one in told] == ["FAIL: attempt 0"]
