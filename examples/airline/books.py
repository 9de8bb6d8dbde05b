"""The books: read from the log alone, they say whether every party was rebooked or left no trace.

They are kept apart from everything that ran: nothing here asks a view or an aggregate.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from eventstore.log import open_log
from eventstore.log.port import Log
from eventstore.log.records import Record, TopicPartition
from eventstore.registry import TopicRegistry
from examples.airline.capacity import ROOMS_PER_AIRPORT
from examples.airline.flights import flights
from examples.airline.messages import (
    FlightCancelled,
    FlightScheduled,
    RoomsBooked,
    RoomsCancelled,
    SeatsHeld,
    SeatsOpened,
    SeatsReleased,
)
from examples.airline.rebooking import Party, Rebook, parties
from sagalog import Event
from sagas.history import CompensationStarted, SagaCompleted, SagaStarted, SagaUndone
from schemas import Serde


@dataclass(slots=True)
class Books:
    """What the log says."""

    flights: int = 0
    cancelled: int = 0
    expected: dict[str, Party] = field(default_factory=dict[str, Party])
    """Every party of a cancelled flight, by name."""
    completed: set[str] = field(default_factory=set[str])
    undone: dict[str, str] = field(default_factory=dict[str, str])
    """Party → why."""
    seats: dict[str, int] = field(default_factory=dict[str, int])
    held: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    """(flight, party) → travellers."""
    rooms: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    oversold: list[str] = field(default_factory=list[str])
    """Flights and airports that at any time gave out more than they have."""
    forks: list[str] = field(default_factory=list[str])
    """Streams whose versions have gaps or doubles."""

    def violations(self) -> list[str]:
        """What does not add up; empty if everything does."""
        found = [f"oversold: {what}" for what in self.oversold] + [f"forked: {what}" for what in self.forks]
        expected, undone = self.expected.keys(), self.undone.keys()
        found += [f"{party}: neither rebooked nor undone" for party in expected - self.completed - undone]
        found += [f"{party}: both rebooked and undone" for party in self.completed & undone]
        found += [f"{party}: nobody's party" for party in (self.completed | undone) - expected]
        wanted = {(one.flight, name): one.travellers for name, one in self.expected.items() if name in self.completed}
        beds = {
            (one.airport, name): (one.travellers + 1) // 2
            for name, one in self.expected.items()
            if name in self.completed and one.leaves_next_day
        }
        found += [
            f"seats of {at}: booked {self.held.get(at)}, should be {wanted.get(at)}"
            for at in _differ(self.held, wanted)
        ]
        found += [
            f"rooms of {at}: booked {self.rooms.get(at)}, should be {beds.get(at)}" for at in _differ(self.rooms, beds)
        ]
        return sorted(found)

    def reasons(self) -> Counter[str]:
        """Why parties were not rebooked."""
        return Counter(self.undone.values())


def _differ(one: dict[tuple[str, str], int], other: dict[tuple[str, str], int]) -> list[tuple[str, str]]:
    return [at for at in one.keys() | other.keys() if one.get(at) != other.get(at)]


def read_books(url: str) -> Books:
    """Read all topics of the airline from their start."""
    log = open_log(url)
    registry = TopicRegistry(log)
    try:
        serde = Serde(registry)
        messages = [*flights.events, SeatsOpened, SeatsHeld, SeatsReleased, RoomsBooked, RoomsCancelled]
        serde.register([*messages, SagaStarted, SagaCompleted, SagaUndone, CompensationStarted])
        books = Books()
        _flights(books, log, serde)
        _seats(books, log, serde)
        _rooms(books, log, serde)
        _sagas(books, log, serde)
        return books
    finally:
        registry.close()
        log.close()


def _flights(books: Books, log: Log, serde: Serde) -> None:
    for _, event in _events(books, log, serde, "flights.events"):
        books.flights += isinstance(event, FlightScheduled)
        if isinstance(event, FlightCancelled):
            books.cancelled += 1
            books.expected.update((party.party, party) for party in parties(event))


def _seats(books: Books, log: Log, serde: Serde) -> None:
    taken = Counter[str]()
    for flight, event in _events(books, log, serde, "seats.events"):
        match event:
            case SeatsOpened(seats=seats):
                books.seats[flight] = seats
            case SeatsHeld(party=party, travellers=travellers):
                taken[flight] += travellers
                _add(books.held, (flight, party), travellers)
            case SeatsReleased(party=party, travellers=travellers):
                taken[flight] -= travellers
                _add(books.held, (flight, party), -travellers)
            case _:
                pass
        if taken[flight] > books.seats.get(flight, 0) or taken[flight] < 0:
            books.oversold.append(f"{flight}: {taken[flight]} of {books.seats.get(flight, 0)}")


def _rooms(books: Books, log: Log, serde: Serde) -> None:
    taken = Counter[str]()
    for airport, event in _events(books, log, serde, "hotels.events"):
        match event:
            case RoomsBooked(party=party, rooms=rooms):
                taken[airport] += rooms
                _add(books.rooms, (airport, party), rooms)
            case RoomsCancelled(party=party, rooms=rooms):
                taken[airport] -= rooms
                _add(books.rooms, (airport, party), -rooms)
            case _:
                pass
        if not 0 <= taken[airport] <= ROOMS_PER_AIRPORT:
            books.oversold.append(f"{airport}: {taken[airport]} rooms of {ROOMS_PER_AIRPORT}")


def _sagas(books: Books, log: Log, serde: Serde) -> None:
    reasons: dict[str, str] = {}
    for party, event in _events(books, log, serde, f"{Rebook.__saga__}.events"):
        match event:
            case CompensationStarted(step=step, reason=reason, type=refusal):
                reasons[party] = f"{step}: {refusal or reason}"
            case SagaCompleted():
                books.completed.add(party)
            case SagaUndone():
                books.undone[party] = reasons.get(party, "unknown")
            case _:
                pass


def _add(book: dict[tuple[str, str], int], at: tuple[str, str], count: int) -> None:
    """Add to an account; one that is even is closed."""
    total = book.get(at, 0) + count
    if total:
        book[at] = total
    else:
        book.pop(at, None)


def _events(books: Books, log: Log, serde: Serde, topic: str) -> Iterator[tuple[str, Event]]:
    """Stream and event of every record; of types that are not needed, nothing."""
    next_version = defaultdict[str, int](int)
    known = {message.__type_name__ for message in (*flights.events, SeatsOpened, SeatsHeld, SeatsReleased)}
    known |= {
        message.__type_name__
        for message in (RoomsBooked, RoomsCancelled, SagaCompleted, SagaUndone, CompensationStarted)
    }
    for record in _records(log, topic):
        if record.key is None or record.value is None:
            continue
        stream, _, version = record.key.decode().rpartition("/")
        if int(version) != next_version[stream]:
            books.forks.append(f"{topic} {stream}: version {version} in the place of {next_version[stream]}")
        next_version[stream] = int(version) + 1
        if serde.type_of(record.value).name in known:
            event = serde.decode(record.value)
            assert isinstance(event, Event), "events topics hold events"
            yield stream, event


def _records(log: Log, topic: str) -> Iterator[Record]:
    count = log.describe([topic])[topic].partitions
    partitions = [TopicPartition(topic, number) for number in range(count)]
    ends = log.end_positions(partitions)
    reader = log.reader(dict.fromkeys(partitions, 0))
    try:
        while any(reader.position(at) < end for at, end in ends.items()):
            yield from reader.read(2_000, 0.5)
    finally:
        reader.close()
