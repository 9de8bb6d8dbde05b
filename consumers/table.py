"""Tables of views, as they are declared.

::

    by_order: Table[str, Total]                                  # a row per order; its key is what records are keyed by
    by_customer: Table[str, Total] = table(merge=Total.plus)     # partitions hold parts of a row
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Self, overload

from typing_extensions import TypeVar

from consumers.keys import KeyCodec
from consumers.rows import Rows
from consumers.values import ValueCodec
from consumers.view_errors import ViewError
from schemas.definition import DefinitionError, Line

if TYPE_CHECKING:
    from consumers.view import View

K = TypeVar("K")
V = TypeVar("V")


class Table(Generic[K, V]):
    """A table of a view, by key. Its rows are read through a service or client: `service.table(Totals.by_order)`."""

    view: type[View]
    """The view it belongs to."""
    name: str
    keys: KeyCodec[K]
    values: ValueCodec[V]

    def __init__(self, merge: Callable[[V, V], V] | None = None) -> None:
        self.merge = merge
        """Combines the rows that partitions hold for one key; None: one partition holds all of it."""

    @overload
    def __get__(self, view: None, owner: type, /) -> Self: ...
    @overload
    def __get__(self, view: View, owner: type, /) -> Rows[K, V]: ...
    def __get__(self, view: View | None, owner: type, /) -> Self | Rows[K, V]:
        if view is None:
            return self
        raise AttributeError(
            f"{owner.__name__} is run by a service, which gives it its tables: do not make one yourself"
        )

    if not TYPE_CHECKING:

        def __getitem__(self, key):
            raise no_rows_in(self, key)

    def bound(self, view: type[View], name: str, arguments: tuple[Any, ...], line: Line) -> Table[K, V]:
        """This declaration as the table `name` of `view`, with the types of its annotation.

        Raises:
            DefinitionError: keys or rows of these types cannot be stored.
        """
        made: Table[K, V] = Table(self.merge)
        made.view, made.name = view, name
        try:
            made.keys, made.values = KeyCodec(arguments[0]), ValueCodec(arguments[1])
        except ViewError as error:
            raise DefinitionError(line, f"{view.__name__}.{name}: {error}") from error
        return made

    @property
    def layout(self) -> str:
        """What its stored rows are: equal layouts can be read by each other's code, and hold the same fields."""
        return f"{self.name}:{self.keys.type_name}->{self.values.form}{'' if self.merge is None else ' merged'}"


def no_rows_in(table: Table[Any, Any], key: object) -> TypeError:
    """What `table[key]` is told outside of the view's handlers."""
    where = f"{table.view.__name__}.{table.name}" if hasattr(table, "view") else "View.table"
    return TypeError(f"the rows of {where} are read by `await service.table({where}).get({key!r})`")


def table(*, merge: Callable[[V, V], V] | None = None) -> Table[K, V]:  # pyright: ignore[reportInvalidTypeVarUse] - the field's annotation says K
    """A table with options: `merge` combines the rows that partitions hold for one key."""
    return Table(merge)
