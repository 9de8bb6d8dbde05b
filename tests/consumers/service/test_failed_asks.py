"""Commands that were asked in the owner's own process, and failed: they were never records, and are dead letters."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consumers import Service, dlq
from consumers.errors import OriginGone
from consumers.redriving import value_of
from eventstore import Aggregate, InputFailed, decide, evolve
from eventstore.log import open_log
from schemas import Command, Event, Reply
from tests.waiting import eventually_async


class Noted(Event, name="test.failed_asks.noted"):
    number: int


class Numbers(Reply):
    numbers: list[int]


class Look(Command[Numbers], to="failed-asks", key="book", name="test.failed_asks.look"):
    book: str


class Note(Command[None], to="failed-asks", key="book", name="test.failed_asks.note"):
    book: str
    text: str = ""
    number: int


class Book(Aggregate[Noted], name="failed-asks"):
    numbers: tuple[int, ...] = ()

    @decide
    def note(self, command: Note) -> None:
        if command.number in BROKEN:
            raise ArithmeticError("not now")
        self.record(Noted(number=command.number))

    @decide
    def look(self, command: Look) -> Numbers:
        return Numbers(numbers=list(self.numbers))

    @evolve
    def noted(self, event: Noted) -> None:
        self.numbers = (*self.numbers, event.number)


BROKEN = set[int]()


@pytest.fixture
def url(unique: Callable[[str], str]) -> str:
    """A log on which three commands for one book have failed."""
    url = f"memory://{unique('failed-asks')}"
    BROKEN.clear()
    BROKEN.update(range(3))
    return url


def numbers(url: str, choice: dlq.Choice = dlq.ALL) -> list[int]:
    """What the dead letters say, in order."""
    return [int(letter.record.value[-1]) >> 1 for letter in dlq.find(open_log(url), choice) if letter.record.value]


async def failing(service: Service) -> None:
    """Ask for what fails."""
    for number in sorted(BROKEN):
        with pytest.raises(InputFailed, match="not now"):
            await service.ask(Note(book="a", number=number))


async def test_each_failed_ask_is_a_dead_letter_of_its_own(url: str) -> None:
    """K7: all are listed, and all come back; what was laid aside hides no other."""
    async with Service("failed-asks", components=[Book], log=url) as service:
        await failing(service)
        assert numbers(url) == [0, 1, 2]
        first, *_ = dlq.find(open_log(url))
        assert first.id.startswith("failed-asks.inbox/") and "/input:" in first.id
        dlq.discard(open_log(url), dlq.Choice(ids=[first.id]))
        assert numbers(url) == [1, 2]

        BROKEN.clear()
        assert len(dlq.redrive(open_log(url), dlq.ALL).done) == 2
        await service.settled()
        assert (await service.ask(Look(book="a"))).numbers == [1, 2]
        assert numbers(url) == []


async def test_a_failed_ask_that_fails_again_is_stopped_by_the_cap(url: str) -> None:
    """Whatever is redriven counts how often, also what was no record at first."""
    BROKEN.intersection_update({1})
    async with Service("failed-asks", components=[Book], log=url) as service:
        await failing(service)
        for again in range(3):
            assert len(dlq.redrive(open_log(url), dlq.ALL).done) == 1
            await eventually_async(lambda: numbers(url) == [1])
            (letter,) = dlq.find(open_log(url))
            assert letter.origin.redrives == again + 1

        assert len(dlq.redrive(open_log(url), dlq.ALL).capped) == 1


async def test_an_id_that_is_used_again_hides_no_dead_letter(url: str) -> None:
    """For another entity, and again after the first was laid aside."""
    async with Service("failed-asks", components=[Book], log=url) as service:
        for book in ("a", "b"):
            with pytest.raises(InputFailed):
                await service.ask(Note(book=book, number=1), id="same")
        assert numbers(url) == [1, 1]
        dlq.discard(open_log(url), dlq.ALL)
        with pytest.raises(InputFailed):
            await service.ask(Note(book="a", number=2), id="same")

        assert numbers(url) == [2]


async def test_one_that_left_its_value_with_its_caller_holds_up_no_other(url: str) -> None:
    """It is too large for a dead letter, and was in no log: it is told apart, and the others are sent back."""
    async with Service("failed-asks", components=[Book], log=url) as service:
        for number, text in ((0, ""), (1, "x" * (1_048_576 - 700)), (2, "")):
            with pytest.raises(InputFailed, match="not now"):
                await service.ask(Note(book="a", number=number, text=text))

        outcome = dlq.redrive(open_log(url), dlq.ALL)

        assert [len(outcome.done), len(outcome.gone)] == [2, 1]
        (left,) = [letter for letter in dlq.find(open_log(url)) if letter.is_elided]
        with pytest.raises(OriginGone, match=r"was too large for the dead letter.*: discard it"):
            value_of(open_log(url), left)


async def test_an_id_that_cannot_be_written_is_refused(url: str) -> None:
    """At the call: in a batch it would stop the loop, and everybody's answers with it."""
    async with Service("failed-asks", components=[Book], log=url) as service:
        with pytest.raises(ValueError, match="lone surrogates"):
            await service.ask(Note(book="a", number=9), id="bad\ud800")
