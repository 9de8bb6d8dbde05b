"""The errors of the write side: one root, one tree.

::

    EventStoreError
    ├── LogError                      see `eventstore.log.errors`
    ├── StateError                    see `eventstore.state.errors`
    ├── TransferError                 see `eventstore.transfer.errors`
    ├── StreamError
    │   ├── WrongExpectedVersion      the stream moved on
    │   ├── CommitIdReused            the commit id stands for other content
    │   ├── EventNotDeclared          the store or aggregate does not know the event's type
    │   ├── ErasureRefused            the store keeps its events for ever
    │   ├── TooManyEvents             one append has more events than it may
    │   ├── AppendTooLarge            the events of one append are larger than they may be altogether
    │   ├── ReadStalled               the log has records that could not be read in time
    │   └── PositionRefused           a subscription cannot go on from the given position
    ├── ProcessorError
    │   ├── InputFailed               the decision raised: the message is in the dead letters
    │   ├── IdReused                  the id of a command stands for another one
    │   ├── OwnerSilent               a consistent read was not answered by the owner of its partition
    │   ├── CommandNotHandled         a component of this service is sent a command that it does not handle
    │   ├── AppendsNotTaken           what is no store is appended to, see `eventstore.processor.append_call`
    │   ├── DestinationNotHosted      what is asked is hosted nowhere that the log reaches
    │   └── AskTimedOut               no answer in time: the outcome is unknown
    ├── DecisionError
    │   ├── DecisionNotMade           an aggregate or decider has no handler for a command
    │   ├── AnswerNotDeclared         a handler answered what its command does not declare
    │   ├── RefusedAfterRecording     a handler recorded events and then refused
    │   ├── RefusedAfterChanging      a handler changed a state and then refused
    │   ├── ChangedWithoutEvent       a handler changed an aggregate itself, see `eventstore.refold`
    │   └── NoEventsKept              a processor of states was to record an event
    ├── RegistryError                 see `eventstore.registry_errors`
    ├── SubjectForgotten, ForgetUnfinished, MasterKey…, Keys…   see `eventstore.subject_keys`
    ├── RecordUnreadable              see `eventstore.event_records`
    ├── SchemasUnreadable             the topic of schemas holds what this version cannot read
    └── NotRunning                    a component was used while no service runs it

Each says what to do next. `is_retryable` tells whether the same call may succeed later.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, Literal

from eventstore.expected import Expected
from schemas.suggestions import nearest


class EventStoreError(Exception):
    """The root of all errors of `eventstore`."""

    is_retryable: ClassVar[bool] = False
    """Whether the same call may succeed when it is made again."""


class StreamError(EventStoreError):
    """A stream is not as the caller supposed."""


class WrongExpectedVersion(StreamError):
    """The stream moved on since it was read: reload and decide again."""

    def __init__(self, stream: str, *, expected: int | Expected, actual: int | Literal[Expected.NO_STREAM]) -> None:
        super().__init__(
            f"{stream}: expected {_described(expected)}, found {_described(actual)}: read the stream again and "
            f"decide anew"
        )
        self.stream, self.expected, self.actual = stream, expected, actual


class EventNotDeclared(StreamError):
    """The store or aggregate does not know the event's type: declare it there."""

    def __init__(self, who: str, event: str) -> None:
        super().__init__(
            f"{who} does not know the event {event}: add it to its events (and an @evolve, if it is folded)"
        )
        self.who, self.event = who, event


class TooManyEvents(StreamError):
    """One append has more events than it may: split what need not be atomic."""

    def __init__(self, stream: str, *, count: int, limit: int) -> None:
        super().__init__(
            f"{stream}: {count:,} events in one append, at most {limit:,} are taken: split what need not be atomic"
        )
        self.stream, self.count, self.limit = stream, count, limit


class ErasureRefused(StreamError):
    """The store keeps its events for ever: use another one for what must be erased some day."""

    def __init__(self, store: str, stream: str) -> None:
        super().__init__(
            f'{stream}: the store {store} has retention="forever" and erases nothing: keep what must be erased in a '
            f'store with retention="compacted"'
        )
        self.store, self.stream = store, stream


class AppendTooLarge(StreamError):
    """The events of one append are larger than they may be altogether: split what need not be atomic."""

    def __init__(self, stream: str, *, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"{stream}: {size_bytes:,} bytes of events in one append, at most {limit_bytes:,} are taken: split what "
            f"need not be atomic"
        )
        self.stream, self.size_bytes, self.limit_bytes = stream, size_bytes, limit_bytes


class ReadStalled(StreamError):
    """The log has records here that could not be read in time: an open unit, or a lost broker, is in the way."""

    is_retryable = True

    def __init__(self, topic: str, partition: int, *, position: int, end: int, seconds: float) -> None:
        super().__init__(
            f"{topic}[{partition}]: stood at {position} for {seconds:g} s although the log goes to {end}: a "
            f"transaction is open there (it is aborted after 10 s) or the broker does not answer; read again"
        )
        self.topic, self.partition, self.position, self.end, self.seconds = topic, partition, position, end, seconds


class PositionRefused(StreamError):
    """A subscription cannot go on from the given position: begin anew, without one."""

    def __init__(self, topic: str, position: object, why: str) -> None:
        super().__init__(
            f"{topic} cannot be read on from {position}: {why}. If this is the log that you mean, read "
            f"it from its start, without a position, and drop what was made of the events before"
        )
        self.topic, self.position, self.why = topic, position, why


class CommitIdReused(StreamError):
    """The commit id was used before, for other content: use a new one per commit."""

    def __init__(self, stream: str, commit_id: str) -> None:
        super().__init__(f"{stream}: commit id {commit_id!r} stands for other events: use a new id for each commit")
        self.stream, self.commit_id = stream, commit_id


class ProcessorError(EventStoreError):
    """A processor could not take or answer an input."""


class InputFailed(ProcessorError):
    """The decision raised, or the input could not be decoded: it is in the dead letters."""

    def __init__(self, processor: str, error: str) -> None:
        super().__init__(f"{processor} failed on the message: {error}. See `sagalog dlq list`")
        self.processor, self.error = processor, error


class IdReused(ProcessorError):
    """The id was used before, for another command: use a new one for each."""

    def __init__(self, processor: str, id: str) -> None:
        super().__init__(
            f"{processor} was asked something else under the id {id!r}, and nothing happened now: use a new id for "
            "each command; an id is for repeating the same one"
        )
        self.processor, self.id = processor, id


class OwnerSilent(ProcessorError):
    """No owner of the partition answered a consistent read: see that one runs, or read without `consistent=True`."""

    is_retryable = True

    def __init__(self, processor: str, partition: int, seconds: float, *, why: str = "") -> None:
        super().__init__(
            f"no owner of {processor}[{partition}] answered within {seconds:g} s: check that a service that hosts it "
            f"runs and is ready, and read again; without consistent=True the topic itself is read{why}"
        )
        self.processor, self.partition, self.seconds, self.why = processor, partition, seconds, why


class CommandNotHandled(ProcessorError):
    """A component sends a command to another one of the same service, which does not handle it: add a handler."""

    def __init__(self, sender: str, command: str, destination: str) -> None:
        super().__init__(
            f"{sender} sends {command} to {destination!r}, and the component of that name here does not handle it: the "
            f"sender would wait for ever. Add a handler of {command} to {destination!r}, before the service is made"
        )
        self.sender, self.command, self.destination = sender, command, destination


class DestinationNotHosted(ProcessorError):
    """Nobody takes a command: the log is this service's alone, and it has no such component."""

    def __init__(self, message: str, destination: str, hosted: Collection[str], *, known_to: str = "") -> None:
        """`hosted`: the names that take commands. `known_to`: who sends or handles it, if that is known."""
        near = nearest(destination, hosted)
        super().__init__(
            f"{message}{f' ({known_to} knows it)' if known_to else ''} goes to {destination!r}, which is hosted "
            f"nowhere: {f'did you mean {near!r}? N' if near else 'n'}obody but this service sees its memory:// "
            f"log. Add the component {destination!r} to the service, or give a log that others see too: "
            f"kafka://host:9092, or memory://NAME within one process"
        )
        self.message, self.destination, self.hosted = message, destination, tuple(hosted)


class AskTimedOut(ProcessorError):
    """No answer came in time. The outcome is unknown: ask again with the same id."""

    is_retryable = True

    def __init__(self, what: str, seconds: float, *, why: str = "") -> None:
        super().__init__(
            f"no answer to {what} within {seconds:g} s: it may or may not have happened; ask again with the same id "
            f"(append: commit_id), and check that a service that owns the destination runs and reaches the log{why}"
        )
        self.what, self.seconds, self.why = what, seconds, why


class DecisionError(EventStoreError):
    """An aggregate or decider is programmed wrongly: the input that showed it becomes a dead letter."""


class DecisionNotMade(DecisionError):
    """An aggregate or decider has no handler for the command."""

    def __init__(self, who: str, command: str) -> None:
        super().__init__(f"{who} has no @decide for {command}: add one, or send the command elsewhere")
        self.who, self.command = who, command


class AnswerNotDeclared(DecisionError):
    """A handler answered what its command does not declare: change the one or the other."""

    def __init__(self, who: str, command: str, answer: str) -> None:
        super().__init__(
            f"{who} answered {answer} to {command}, which does not declare it: declare it or answer another"
        )
        self.who, self.command, self.answer = who, command, answer


class RefusedAfterRecording(DecisionError):
    """A handler recorded events and then refused. A refusal says that nothing happened: decide first, record then."""

    def __init__(self, who: str, command: str, refusal: str, events: int) -> None:
        super().__init__(
            f"{who} recorded {events} events for {command} and then answered the refusal {refusal}, which says that "
            f"nothing happened: check everything before recording, or answer with a reply"
        )
        self.who, self.command, self.refusal, self.events = who, command, refusal, events


class RefusedAfterChanging(DecisionError):
    """A handler changed a state and then refused. A refusal says that nothing happened: decide first, change then."""

    def __init__(self, who: str, command: str, refusal: str) -> None:
        super().__init__(
            f"{who} changed its state for {command} and then answered the refusal {refusal}, which says that nothing "
            f"happened: check everything before changing a field, or answer with a reply"
        )
        self.who, self.command, self.refusal = who, command, refusal


class NoEventsKept(DecisionError):
    """A processor whose log keeps states was to record or erase an event: it has none."""

    def __init__(self, processor: str, what: str) -> None:
        super().__init__(
            f'{processor} has journal="state", so it cannot take {what}: return the new state, or make it '
            f"event-sourced (an Aggregate, a Decider)"
        )
        self.processor, self.what = processor, what


class SchemasUnreadable(EventStoreError):
    """The topic of schemas holds what this version cannot read: upgrade, or find out who writes there."""

    def __init__(self, topic: str, offset: int, why: str) -> None:
        super().__init__(
            f"{topic} holds an unreadable record at offset {offset} ({why}): a newer sagalog wrote it, so upgrade "
            f"this one; or something else writes there, so take away its permission and delete the record by a "
            f"tombstone of its key"
        )
        self.topic, self.offset, self.why = topic, offset, why


class NotRunning(EventStoreError):
    """A component was used while nothing here runs it: start the service, give it to a client, or use `async with`."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} is not running: use it inside `async with service:` of a service that has it among its "
            f"components, inside `async with Client(stores=[…]):` if a service elsewhere has it, or alone with "
            f"`async with store:`"
        )
        self.what = what


def _described(version: int | Expected) -> str:
    return version.value if isinstance(version, Expected) else f"version {version}"
