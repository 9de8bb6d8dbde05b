"""The books find what is wrong: each planted wrongness is named, and right books name nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from eventstore.log import open_log
from eventstore.log.partition import partition_of
from eventstore.log.port import Log
from eventstore.log.records import Topic
from eventstore.registry import TopicRegistry
from examples.airline.books import Books, read_books
from examples.airline.messages import FlightCancelled, RoomsBooked, SeatsHeld, SeatsOpened, SeatsReleased
from examples.airline.rebooking import Party
from sagalog import Event
from sagas.history import SagaCompleted
from schemas import Metadata, Serde


def party(name: str, *, flight: str = "later", travellers: int = 4, next_day: bool = False) -> Party:
    return Party(party=name, travellers=travellers, airport="JFK", flight=flight, leaves_next_day=next_day, cents=0)


def right_books() -> Books:
    """One party was rebooked with a hotel, one left no trace."""
    return Books(
        flights=2,
        cancelled=1,
        expected={"a": party("a", next_day=True), "b": party("b")},
        completed={"a"},
        undone={"b": "seats: flight_full"},
        seats={"later": 10},
        held={("later", "a"): 4},
        rooms={("JFK", "a"): 2},
    )


def oversold(books: Books) -> None:
    books.oversold.append("later: 12 of 10")


def fork(books: Books) -> None:
    books.forks.append("seats.events later: version 1 in the place of 2")


def lost(books: Books) -> None:
    books.undone.clear()


def ended_twice(books: Books) -> None:
    books.undone["a"] = "settle: declined"


def stranger(books: Books) -> None:
    books.completed.add("c")


def orphan_seats(books: Books) -> None:
    books.held["later", "b"] = 4


def orphan_rooms(books: Books) -> None:
    books.rooms["JFK", "b"] = 2


def doubled_seats(books: Books) -> None:
    books.held["later", "a"] = 8


def missing_seats(books: Books) -> None:
    del books.held["later", "a"]


def missing_rooms(books: Books) -> None:
    books.rooms.clear()


PLANTED: dict[Callable[[Books], None], str] = {
    oversold: "oversold: later: 12 of 10",
    fork: "forked: seats.events later: version 1 in the place of 2",
    lost: "b: neither rebooked nor undone",
    ended_twice: "a: both rebooked and undone",
    stranger: "c: nobody's party",
    orphan_seats: "seats of ('later', 'b'): booked 4, should be None",
    orphan_rooms: "rooms of ('JFK', 'b'): booked 2, should be None",
    doubled_seats: "seats of ('later', 'a'): booked 8, should be 4",
    missing_seats: "seats of ('later', 'a'): booked None, should be 4",
    missing_rooms: "rooms of ('JFK', 'a'): booked None, should be 2",
}


def test_right_books_have_no_violations() -> None:
    """A party that was rebooked and one that was undone add up."""
    assert right_books().violations() == []


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_what_is_wrong_is_found(plant: Callable[[Books], None]) -> None:
    """One thing is made wrong, and it is named."""
    books = right_books()

    plant(books)

    assert books.violations() == [PLANTED[plant]]


class Pen:
    """Writes events as processes do, or as none should."""

    def __init__(self, url: str) -> None:
        self.log: Log = open_log(url)
        self.log.create(
            [Topic(name=f"{name}.events", compacted=True) for name in ("flights", "seats", "hotels", "rebook")]
        )
        self._serde = Serde(TopicRegistry(self.log))
        self._versions: dict[str, int] = {}

    def write(self, name: str, stream: str, event: Event, *, version: int | None = None) -> None:
        at = f"{name} {stream}"
        number = self._versions.get(at, 0) if version is None else version
        self._versions[at] = number + 1
        producer = self.log.producer()
        meta = (("meta", Metadata(id=f"{at}/{number}", type=event.__type_name__).encode()),)
        key = f"{stream}/{number}".encode()
        producer.produce(f"{name}.events", partition_of(stream, 4), key, self._serde.encode(event), meta)
        producer.flush()
        producer.close()


@pytest.fixture
def url() -> str:
    return "memory://airline-books"


@pytest.fixture
def pen(url: str) -> Iterator[Pen]:
    pen = Pen(url)
    yield pen
    pen.log.delete(pen.log.describe())
    pen.log.close()


def test_the_log_is_read_whole(pen: Pen, url: str) -> None:
    """Seats that are held and released again leave nothing; what is not told is missing."""
    pen.write("seats", "later", SeatsOpened(seats=10))
    pen.write("seats", "later", SeatsHeld(party="a", travellers=4))
    pen.write("seats", "later", SeatsHeld(party="b", travellers=3))
    pen.write("seats", "later", SeatsReleased(party="b", travellers=3))
    pen.write("hotels", "JFK", RoomsBooked(party="a", rooms=2))
    pen.write("rebook", "a", SagaCompleted(result=""))

    books = read_books(url)

    assert (books.seats, books.held, books.rooms) == ({"later": 10}, {("later", "a"): 4}, {("JFK", "a"): 2})
    assert (books.completed, books.oversold, books.forks) == ({"a"}, [], [])


def test_more_seats_than_there_are_is_found_although_it_was_mended(pen: Pen, url: str) -> None:
    """A flight that was oversold for a moment is oversold."""
    pen.write("seats", "later", SeatsOpened(seats=5))
    pen.write("seats", "later", SeatsHeld(party="a", travellers=4))
    pen.write("seats", "later", SeatsHeld(party="b", travellers=4))
    pen.write("seats", "later", SeatsReleased(party="b", travellers=4))

    assert read_books(url).oversold == ["later: 8 of 5"]


@pytest.mark.parametrize("version", [0, 2], ids=["doubled", "missing"])
def test_versions_that_do_not_follow_are_found(pen: Pen, url: str, version: int) -> None:
    """A version that is there twice, and one that is not there."""
    pen.write("seats", "later", SeatsOpened(seats=5))
    pen.write("seats", "later", SeatsHeld(party="a", travellers=4), version=version)

    assert read_books(url).forks == [f"seats.events later: version {version} in the place of 1"]


def test_parties_of_a_cancelled_flight_are_expected(pen: Pen, url: str) -> None:
    """A cancelled flight whose parties nobody rebooks is a violation for each of them."""
    event = FlightCancelled(flight="x", origin="JFK", departs="2013-02-08T12:00:00Z", sold=3, later=[])  # type: ignore[arg-type] # what is tested
    pen.write("flights", "x", event)

    assert read_books(url).violations() == ["x/0: neither rebooked nor undone"]
