# pyright: reportUnusedClass=false, reportRedeclaration=false
"""What a view class declares, and what import refuses, with the line to change."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, cast

import pytest
from pydantic import BaseModel

from consumers.queryable import Queryable
from consumers.table import Table, table
from consumers.view import View, on
from eventstore.store import EventStore
from eventstore.streams import Recorded
from schemas import DefinitionError
from tests.consumers.view.shop import Paid, Placed, Shipped, Total, Totals


class Loose(BaseModel):
    n: int = 0


def test_a_view_says_its_name_version_and_events() -> None:
    """The plan names view and version, because two versions may run beside each other."""
    plan = Totals.__component__()

    assert plan.name == "totals.v1"
    assert set(plan.messages) == {Placed, Paid}
    assert len(plan.loops) == 1


def test_a_table_is_known_by_the_class() -> None:
    """`Totals.by_order` says where its rows are."""
    assert Totals.by_order.view is Totals
    assert Totals.by_order.name == "by_order"
    assert Totals.by_customer.merge is Total.plus


def test_a_table_says_how_its_rows_are_read() -> None:
    """Outside of the view's handlers `table[key]` is no read: that takes a service, and time."""
    declared: Any = Totals.by_order
    queryable: Any = Queryable(cast("Any", None), Totals.by_order)
    for each in (declared, queryable):
        with pytest.raises(TypeError, match=r"`await service\.table\(Totals\.by_order\)\.get\('q'\)`"):
            each["q"]


def nothing() -> None:
    class Empty(View, topics=["x"]):  # here
        rows: Table[str, int]


def twice() -> None:
    class Twice(View, topics=["x"]):
        @on
        def one(self, event: Placed) -> None: ...

        @on  # here
        def two(self, event: Placed | Paid) -> None: ...


def overwritten() -> None:
    class Again(View, topics=["x"]):
        @on
        def one(self, event: Placed) -> None: ...

        @on  # type: ignore[no-redef] # what is tested
        def one(self, event: Paid) -> None: ...  # noqa: F811 - what is tested


def mutable() -> None:
    class Mutable(View, topics=["x"]):
        rows: Table[str, list[int]]  # here

        @on
        def one(self, event: Placed) -> None: ...


def not_frozen() -> None:
    class NotFrozen(View, topics=["x"]):
        rows: Table[str, Loose]  # here

        @on
        def one(self, event: Placed) -> None: ...


def float_keys() -> None:
    class FloatKeys(View, topics=["x"]):
        rows: Table[float, int]  # here

        @on
        def one(self, event: Placed) -> None: ...


def no_annotation() -> None:
    class Bare(View, topics=["x"]):
        rows = table(merge=Total.plus)  # type: ignore[var-annotated] # here

        @on
        def one(self, event: Placed) -> None: ...


def not_an_event() -> None:
    class NoEvent(View, topics=["x"]):
        @on  # here
        def one(self, event: int) -> None: ...


def resource() -> None:
    class Resource(View, topics=["x"]):
        @on  # here
        def one(self, event: Placed, pool: dict[str, int]) -> None: ...


def asynchronous() -> None:
    class Asynchronous(View, topics=["x"]):
        @on  # type: ignore[type-var] # here
        async def one(self, event: Placed) -> None: ...


STORES = [EventStore(name, events=[event]) for name, event in (("orders", Placed), ("payments", Paid))]


def not_declared() -> None:
    class Deaf(View, topics=STORES):
        @on
        def one(self, event: Placed) -> None: ...

        @on  # here
        def two(self, event: Paid | Shipped) -> None: ...


def bad_name() -> None:
    class Named(View, topics=["x"], name="A.b"):  # here
        @on
        def one(self, event: Placed) -> None: ...


@pytest.mark.parametrize(
    ("define", "words"),
    [
        (nothing, "handles nothing"),
        (twice, "already"),
        (mutable, "changed in place"),
        (not_frozen, "not frozen"),
        (float_keys, "cannot have keys"),
        (no_annotation, "no annotation"),
        (not_an_event, "no Event"),
        (resource, "no Recorded"),
        (asynchronous, "async"),
        (not_declared, r"Deaf\.two handles Shipped, which is not among the events=\[…\] of orders and payments"),
        (bad_name, "needs a name"),
    ],
)
def test_import_refuses(define: Callable[[], Any], words: str) -> None:
    """Each error names the line to change, and why."""
    lines, first = inspect.getsourcelines(define)
    wanted = next(number for number, line in enumerate(lines, first) if line.rstrip().endswith("# here"))

    with pytest.raises(DefinitionError, match=words) as refused:
        define()

    assert refused.value.line.number == wanted


def test_what_a_topic_by_name_holds_is_not_known() -> None:
    """Beside stores, a name may bring any event."""

    class Both(View, topics=[*STORES, "parcels.events"]):
        @on
        def one(self, event: Shipped) -> None: ...

    assert set(Both.__view__.handlers) == {Shipped}


def test_an_overwritten_handler_is_refused() -> None:
    """It would silently handle nothing."""
    with pytest.raises(DefinitionError, match="overwrites"):
        overwritten()


def test_handlers_named_underscore_all_count() -> None:
    """A name is not needed where the annotation says it all."""

    class Nameless(View, topics=["x"]):
        @on
        def _(self, event: Placed) -> None: ...

        @on
        def _(self, event: Paid, recorded: Recorded[Paid]) -> None: ...

    assert set(Nameless.__view__.handlers) == {Placed, Paid}
