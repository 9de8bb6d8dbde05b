"""How the log looks on standard error."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from sagalog.logs import configure


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The configuration of the other tests is put back."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def warn(form: Literal["text", "json"], capsys: pytest.CaptureFixture[str]) -> str:
    configure(logging.WARNING, format=form)
    card = "4111-secret"
    try:
        raise KeyError("sku")
    except KeyError as error:
        structlog.get_logger().warning("handler_raised", exc_info=error)
    shown = capsys.readouterr().err
    assert card not in shown
    return shown


def test_a_traceback_is_shown_without_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    """Locals hold what messages hold, which is not for logs."""
    shown = warn("text", capsys)

    assert 'raise KeyError("sku")' in shown


def test_a_traceback_is_text_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line, as for every other event."""
    event = json.loads(warn("json", capsys))

    assert event["event"] == "handler_raised"
    assert event["exception"].endswith("KeyError: 'sku'")


def test_each_line_says_whose_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines of several processes come together; those of every thread name the slot, unless they are about another."""
    configure(logging.INFO, format="json", slot="west-1")
    log = structlog.get_logger()
    loop = threading.Thread(target=log.info, args=("partition_taken",))
    loop.start()
    loop.join()
    log.info("process_died", slot="west-2")

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["slot"]) for line in lines] == [
        ("partition_taken", "west-1"),
        ("process_died", "west-2"),
    ]
