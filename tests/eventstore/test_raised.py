"""What user's code raised is told, whatever it says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from eventstore.log import open_log
from eventstore.processor.port import DecideContext
from eventstore.raised import Raised, traceback_of
from schemas import Failure, Message
from schemas.error_text import error_text
from tests.eventstore.processor.counters import Add, Bench, Counters, Total


class Speechless(Exception):
    """Its text is a mistake of its own."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Raising(Counters):
    def decide(self, state: int, message: Message, context: DecideContext[int]) -> None:
        if isinstance(message, Add) and message.by == 13:
            raise Speechless
        if isinstance(message, Add) and message.by == 17:
            raise ValueError("no such file: caf\udce9")
        super().decide(state, message, context)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(open_log("memory://"), processors=[Raising()])
    yield bench
    bench.log.close()


@pytest.mark.parametrize(("by", "said"), [(13, "__str__ raised RuntimeError"), (17, r"no such file: caf\udce9")])
def test_an_input_whose_error_cannot_be_written_stops_nobody(bench: Bench, by: int, said: str) -> None:
    """K7: it is a dead letter like any other; the text says what can be said."""
    failure = bench.ask(Add(counter="a", by=by))
    bench.post(Add(counter="a", by=by))
    bench.run()

    assert isinstance(failure, Failure)
    assert said in failure.detail
    letters = bench.records("counter.inbox.bench.dlq")
    assert [said in dict(letter.headers)["__dlq.errors.message"].decode() for letter in letters] == [True, True]
    assert bench.ask(Add(counter="a", by=1)) == Total(is_=1)


def test_a_traceback_that_cannot_be_written_is_told_as_text() -> None:
    """A terminal or file takes UTF-8 only, and who writes a log line is not to fail by it."""
    with capture_logs() as told:
        Raised().tell("handler_raised", ValueError("caf\udce9"))

    [line] = told
    assert line["detail"] == r"caf\udce9"
    assert "exc_info" not in line
    assert r"ValueError: caf\udce9" in line["exception"]


def test_what_can_be_written_stays_as_it_is() -> None:
    """Letters of other scripts too."""
    error = ValueError("café ☕")

    assert error_text(error) == "café ☕"
    assert traceback_of(error) == {"exc_info": error}
