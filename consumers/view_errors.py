"""The errors of views: of their definitions, of their rows, and of reading them.

::

    ViewError
    ├── KeyTypeUnknown            a table's key type has no order-preserving form
    ├── RowTypeUnfit              a table's row type cannot be stored
    ├── BadRowKey                 a key is not of its table's key type
    ├── BadRow                    a row is not of its table's row type, or would not come back as it is
    ├── RowTypeChanged            a stored row is of an earlier row type of its table
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
from typing import Any

from consumers.errors import ConsumerError


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


class RowTypeChanged(ViewError):
    """A stored row does not fit its table's row type any more: raise the view's version, which builds the rows anew.

    Changed fields are noticed when the view starts, and its rows are made anew; this is what only a validator refuses.
    """

    def __init__(self, wanted: str, why: str) -> None:
        super().__init__(
            f"a stored row is no {wanted} as it is declared now ({why}): what the row type takes was changed and "
            "the view's version was not. Raise version=, which builds the rows anew"
        )
        self.wanted, self.why = wanted, why


class KeyElsewhere(ViewError):
    """A row's key belongs to another partition than the record it was made from (V1)."""

    def __init__(self, table: str, key: object, *, partition: int, belongs: int, record_key: str) -> None:
        super().__init__(
            f"{table}[{key!r}] belongs to partition {belongs}, but was read or written for record {record_key!r} of "
            f"partition {partition}. Records of other partitions may touch the same row, and no reader would find it "
            "here: declare the table with table(merge=…), which combines the partitions' rows when they are read, or "
            "the view with by=…, which brings the records of a key together, or key it by what the records are keyed by"
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
    """Several services ran a view of this name: read it in a process of the service that is meant, or rename one."""

    def __init__(self, view: str, services: Sequence[str]) -> None:
        super().__init__(
            f"view {view!r} was run by several services ({', '.join(services)}), and this process is of none of them: "
            "read it in a process of the one that is meant, or give one of the views another name="
        )
        self.view, self.services = view, tuple(services)
