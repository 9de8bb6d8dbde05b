"""The errors of the read and act side: one root, one tree.

::

    ConsumerError
    ├── Permanent                     raised by a handler: trying again cannot help; dead-lettered at once
    ├── RetryAfter                    raised by a handler: try again after a delay; burns no attempt
    ├── WorkerError
    │   ├── AttemptTimedOut           one attempt took longer than its time-out; it is retried
    │   ├── AttemptCancelled          the handler was cancelled from within; it is retried
    │   ├── UnknownCommand            a command that this worker does not know: dead-lettered
    │   ├── BadAcknowledgement        the group's position carries metadata that no worker wrote
    │   └── BreakerOpen               a circuit breaker lets nothing through for now; burns no attempt
    ├── DeadLetterError
    │   ├── NoDeadLetters             there is no dead-letter topic for this choice
    │   ├── NothingChosen             it was not said which dead letters are meant
    │   ├── CannotRedrive             nobody reads what would be redriven
    │   ├── OriginGone                the value of a large dead letter is not at its origin any more
    │   └── NotADeadLetter            a record of a dead-letter topic that no worker wrote
    ├── ServiceError
    │   ├── LogNotGiven               a service or client starts, and nobody said on which log
    │   ├── ComponentUnknown          the service has no component of that name
    │   ├── HttpUnavailable           the HTTP endpoint cannot listen where it was told
    │   └── GroupInUse                a group's positions cannot be set: it has live members
    └── ViewError
        ├── KeyTypeUnknown            a table's key type has no order-preserving form
        ├── RowTypeUnfit              a table's row type cannot be stored
        ├── BadRowKey                 a key is not of its table's key type
        ├── BadRow                    a row is not of its table's row type, or would not come back as it is
        ├── KeyElsewhere              a row's key belongs to another partition than the record (V1)
        ├── NotCopartitioned          the topics of a view have different partition counts
        ├── ViewStopped               a handler failed: the partition stands still before that record
        ├── NotOwnedHere              this process does not serve the partition
        ├── PartitionUnserved         no process serves the partition now
        ├── PositionNotReached        the view did not come as far as `at_least` in time
        ├── ViewUnknown               no service ever ran this view
        └── ViewAmbiguous             several services run a view of this name

Each says what to do next. `is_retryable` tells whether the same call may succeed later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar


class ConsumerError(Exception):
    """The root of all errors of `consumers`."""

    is_retryable: ClassVar[bool] = False
    """Whether the same call may succeed when it is made again."""


class Permanent(ConsumerError):
    """Raise it in a handler when trying again cannot help: the record goes to the dead letters at once."""


class RetryAfter(ConsumerError):
    """Raise it in a handler when the other side said when to come back (429, 503). Burns no attempt."""

    is_retryable = True

    def __init__(self, delay: timedelta, why: str = "") -> None:
        if delay < timedelta():
            raise ValueError(f"RetryAfter waits a time that is not negative, not {delay}")
        super().__init__(f"again after {delay.total_seconds():g} s{': ' if why else ''}{why}")
        self.delay = delay


class WorkerError(ConsumerError):
    """A worker could not handle a record."""


class AttemptTimedOut(WorkerError):
    """One attempt took longer than its time-out, and was cancelled: make the handler faster or raise `timeout=`."""

    is_retryable = True

    def __init__(self, handler: str, seconds: float) -> None:
        super().__init__(
            f"{handler} did not end within {seconds:g} s and was cancelled: raise timeout= if it may take longer"
        )
        self.handler, self.seconds = handler, seconds


class AttemptCancelled(WorkerError):
    """The handler ended by a cancellation that was not the worker's: look for what cancels inside it."""

    is_retryable = True

    def __init__(self, handler: str) -> None:
        super().__init__(f"{handler} was cancelled from within: look for a cancel() of its own task or a task group")
        self.handler = handler


class UnknownCommand(WorkerError):
    """Somebody waits for this command's answer, and no handler names it: add one, or send it elsewhere."""

    def __init__(self, worker: str, type_name: str) -> None:
        super().__init__(
            f"{worker} has no handler for the command {type_name}: add @{worker}.on for it and redrive, or discard it"
        )
        self.worker, self.type_name = worker, type_name


class BadAcknowledgement(WorkerError):
    """The group's position carries metadata that no worker wrote: another program commits under this group's name."""

    def __init__(self, metadata: str, why: str) -> None:
        super().__init__(
            f"the group's position carries {metadata[:60]!r}, which no worker of this version wrote ({why}): check "
            "that no other program commits under this group, then reset the position"
        )
        self.metadata, self.why = metadata, why


class BreakerOpen(WorkerError):
    """The circuit breaker lets nothing through until it was reset. Burns no attempt."""

    is_retryable = True

    def __init__(self, breaker: str, delay: timedelta) -> None:
        super().__init__(f"breaker {breaker} is open for another {delay.total_seconds():.1f} s")
        self.breaker, self.delay = breaker, delay


class DeadLetterError(ConsumerError):
    """The dead letters could not be read or redriven."""


class NoDeadLetters(DeadLetterError):
    """There is no dead-letter topic for this choice: check topic and group, or nothing failed so far."""

    def __init__(self, what: str, known: list[str]) -> None:
        offer = f"those that exist: {', '.join(known)}" if known else "none exists so far"
        super().__init__(f"no dead-letter topic for {what}: {offer}")
        self.what, self.known = what, known


class NothingChosen(DeadLetterError):
    """It was not said which dead letters are meant."""

    def __init__(self) -> None:
        super().__init__(
            "which dead letters? Give ids, or say which (--group, --error, --type, --key), or --everything"
        )


class CannotRedrive(DeadLetterError):
    """Nobody reads what would be redriven: start the worker of the group once, with this topic, or discard."""

    def __init__(self, dead_letter: str, group: str, topic: str) -> None:
        super().__init__(
            f"{dead_letter} cannot be redriven: {topic} does not exist, so {group} does not read it. Start the group's "
            "worker once (it makes the topic), or discard the dead letter"
        )
        self.dead_letter, self.group, self.topic = dead_letter, group, topic


class OriginGone(DeadLetterError):
    """The value was too large for a dead letter, and its origin was deleted since: discard it."""

    def __init__(self, dead_letter: str) -> None:
        super().__init__(f"the value of {dead_letter} was left at its origin and is not there any more: discard it")
        self.dead_letter = dead_letter


class NotADeadLetter(DeadLetterError):
    """A record of a dead-letter topic lacks the headers of its origin: something else writes to that topic."""

    def __init__(self, topic: str, partition: int, offset: int, why: str) -> None:
        super().__init__(f"{topic}[{partition}]@{offset} is no dead letter ({why}): check what else writes to {topic}")
        self.topic, self.partition, self.offset, self.why = topic, partition, offset, why


class ServiceError(ConsumerError):
    """A service cannot run as it was told."""


class LogNotGiven(ServiceError):
    """A service or client starts, and nobody said on which log: say it."""

    def __init__(self, name: str, ways: str) -> None:
        super().__init__(
            f"no log was given for {name}: give {ways}, for example kafka://localhost:9092 (Kafka), "
            f"embedded:///var/lib/shop (a folder; embedded:shop is one in the working folder) or memory:// (nothing is "
            f"kept: for tests)"
        )
        self.name = name


class ComponentUnknown(ServiceError):
    """The service has no component of that name."""

    def __init__(self, service: str, component: str, known: Sequence[str]) -> None:
        super().__init__(f"service {service!r} has no component {component!r}: it has {', '.join(known) or 'none'}")
        self.service, self.component, self.known = service, component, tuple(known)


class HttpUnavailable(ServiceError):
    """The HTTP endpoint cannot listen where it was told: give another host:port, or port 0 for any free one."""

    def __init__(self, bind: str, why: str) -> None:
        super().__init__(f"cannot serve HTTP at {bind} ({why}): give another host:port, or port 0 for any free one")
        self.bind, self.why = bind, why


class GroupInUse(ServiceError):
    """A group's positions cannot be set while it has live members: stop them."""

    is_retryable = True

    def __init__(self, group: str, got: int, wanted: int) -> None:
        super().__init__(
            f"group {group!r} has live members (of {wanted} partitions {got} were free): stop the processes of its "
            "service, wait 10 s if one was killed, and try again"
        )
        self.group, self.got, self.wanted = group, got, wanted


class ViewError(ConsumerError):
    """A view cannot be built, kept or read."""


class KeyTypeUnknown(ViewError):
    """A table's key type has no order-preserving form."""

    def __init__(self, annotation: Any) -> None:
        super().__init__(
            f"a table cannot have keys of type {annotation}: use str, int, bytes or a fixed tuple of these"
        )
        self.annotation = annotation


class RowTypeUnfit(ViewError):
    """A table's row type cannot be stored."""

    def __init__(self, annotation: Any, why: str) -> None:
        super().__init__(
            f"a table cannot have rows of type {annotation} ({why}): use a frozen pydantic model, or an immutable type "
            "such as int, str, float, datetime or a tuple"
        )
        self.annotation, self.why = annotation, why


class BadRowKey(ViewError):
    """A key is not of its table's key type."""

    def __init__(self, key: object, wanted: str) -> None:
        super().__init__(
            f"{key!r} is no key or key prefix of this table, whose keys are {wanted} (integers have 64 bits)"
        )
        self.key, self.wanted = key, wanted


class BadRow(ViewError):
    """A row is not of its table's row type, or would not come back as it is."""

    def __init__(self, row: object, wanted: Any, why: str) -> None:
        super().__init__(f"a {type(row).__name__} cannot be a row of a table of {wanted}: {why}")
        self.wanted, self.why = wanted, why


class KeyElsewhere(ViewError):
    """A row's key belongs to another partition than the record it was made from (V1)."""

    def __init__(self, table: str, key: object, *, partition: int, belongs: int, record_key: str) -> None:
        super().__init__(
            f"{table}[{key!r}] belongs to partition {belongs}, but was read or written for record {record_key!r} of "
            f"partition {partition}. Records of other partitions may touch the same row, and no reader would find it "
            "here: declare the table with table(merge=…), which combines the partitions' rows when they are read, or "
            "key it by what the records are keyed by"
        )
        self.table, self.key, self.partition, self.belongs, self.record_key = table, key, partition, belongs, record_key


class NotCopartitioned(ViewError):
    """The topics of a view have different partition counts, so their equal keys do not meet."""

    def __init__(self, view: str, partitions: Mapping[str, int]) -> None:
        counts = ", ".join(f"{topic} has {count}" for topic, count in sorted(partitions.items()))
        super().__init__(
            f"the topics of view {view!r} need equal partition counts: {counts}. Make one view for each count, or copy "
            "a topic to a new name with the other count"
        )
        self.view, self.partitions = view, dict(partitions)


class ViewStopped(ViewError):
    """A handler failed: the partition stands still before that record, because a view never skips what it handles."""

    def __init__(self, view: str, partition: int, *, record: str, error: str) -> None:
        super().__init__(
            f"view {view!r} stopped partition {partition} at {record}: {error}. Correct the handler and deploy again: "
            "it goes on from there. If rows were computed wrongly before, raise the view's version, which rebuilds it"
        )
        self.view, self.partition, self.record, self.error = view, partition, record, error


class NotOwnedHere(ViewError):
    """This process does not serve the partition of the view: ask its owner."""

    is_retryable = True

    def __init__(self, view: str, version: int, partition: int) -> None:
        super().__init__(f"view {view!r} version {version}: partition {partition} is not served by this process")
        self.view, self.version, self.partition = view, version, partition


class PartitionUnserved(ViewError):
    """No process serves the partition now: try again, and check that the service runs."""

    is_retryable = True

    def __init__(self, view: str, partition: int, *, waited: float, why: str) -> None:
        super().__init__(
            f"nobody served partition {partition} of view {view!r} within {waited:g} s ({why}): try again; if it "
            "lasts, check that a process of the service runs and that its /ready says so"
        )
        self.view, self.partition, self.waited, self.why = view, partition, waited, why


class PositionNotReached(ViewError):
    """The view did not come as far as `at_least` in time: try again, or read without it."""

    is_retryable = True

    def __init__(self, view: str, partition: int, *, waited: float) -> None:
        super().__init__(
            f"view {view!r} did not reach the given position in partition {partition} within {waited:g} s: it lags "
            "behind; try again, or read without at_least"
        )
        self.view, self.partition, self.waited = view, partition, waited


class ViewUnknown(ViewError):
    """No service ever ran this view."""

    is_retryable = True

    def __init__(self, view: str) -> None:
        super().__init__(f"no service ever ran view {view!r} on this log: add the view to a service, and start it")
        self.view = view


class ViewAmbiguous(ViewError):
    """Several services run a view of this name: read it in the service that is meant."""

    def __init__(self, view: str, services: Sequence[str]) -> None:
        super().__init__(f"view {view!r} is run by several services ({', '.join(services)}): say which one is meant")
        self.view, self.services = view, tuple(services)
