"""How the states of an aggregate or a decider are written into snapshots: as JSON, by pydantic.

JSON cannot write everything as it is: a snapshot is taken only if what is read of it equals the state. Personal data is
written as ciphertext, as everywhere; a value that is not sealed cannot be written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, Generic, TypeVar, cast

from pydantic import TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError

from eventstore.fingerprint import Fingerprint
from eventstore.handlers import Handlers
from eventstore.processor.snapshots import Snapshots
from schemas import Event
from schemas.definition import DefinitionError, Line, annotations_of

S = TypeVar("S")


class StateNotExact(ValueError):
    """A state that is written as JSON is read as another one."""

    def __init__(self, kind: Any) -> None:
        super().__init__(
            f"what is read of the JSON of a {getattr(kind, '__name__', kind)} does not equal it: annotate its fields "
            "with the types that they hold, or take no snapshots of it"
        )


class JsonStateForm(Generic[S]):
    """States of one kind as JSON."""

    def __init__(
        self,
        name: str,
        policy: Snapshots,
        kind: Any,
        handlers: Handlers[Any],
        initial: Callable[[], S],
        line: Line,
        revived: Callable[[S, str, int], S] | None = None,
    ) -> None:
        """`kind`: the states' type. `initial` makes one without events; `revived` completes one that was read, given
        key and version.

        Raises:
            DefinitionError: a new state cannot be written, or is read as another one. It names `line`.
        """
        self.name, self.policy, self._kind = name, policy, kind
        self._handlers, self._initial, self._revived = handlers, initial, revived
        self._fingerprint: bytes | None = None
        try:
            self._adapter = TypeAdapter[Any](kind)
            if getattr(kind, "__pydantic_complete__", True):  # else it names a class that comes later
                self.encode(initial())
        except (PydanticSchemaGenerationError, ValueError) as error:
            raise DefinitionError(
                line,
                f"snapshots of {name}: its state cannot be written as JSON and read again "
                f"({str(error).splitlines()[0]}); make it a dataclass, a model or a TypedDict of types that can",
            ) from error

    @property
    def fingerprint(self) -> bytes:
        """See `eventstore.fingerprint`. Taken when it is first needed: upcasters may come after the class."""
        if self._fingerprint is None:
            self._fingerprint = self._taken()
        return self._fingerprint

    def _taken(self) -> bytes:
        evolving = self._handlers.evolving
        owner = self._kind if isinstance(self._kind, type) else None
        package = next(iter(evolving.values())).__module__.partition(".")[0] if evolving else ""
        found = Fingerprint(package)
        found.add([self.name, self.policy.version])
        found.add_type(self._kind)
        found.add(self._adapter.dump_python(self._initial(), round_trip=True))
        for event in sorted(evolving, key=_name):
            _add_event(found, event)
            found.add_code(evolving[event], owner)
        return found.digest()

    def encode(self, state: S) -> bytes:
        """The state's JSON.

        Raises:
            StateNotExact: it would be read as another state.
            ValueError: something in it cannot be written as JSON.
        """
        data = self._adapter.dump_json(state, round_trip=True, by_alias=True)
        if self._adapter.validate_json(data) != state:
            raise StateNotExact(self._kind)
        return data

    def decode(self, key: str, version: int, data: bytes) -> S:
        """The state of an entity.

        Raises:
            ValueError: the data is none.
        """
        state: S = self._adapter.validate_json(data)
        return state if self._revived is None else self._revived(state, key, version)


def _add_event(found: Fingerprint, event: type[Event]) -> None:
    found.add([event.__type_name__, event.__type_version__])
    found.add_type(event)
    for version, upcast in event.__upcasts__.steps():
        found.add(version)
        found.add_code(upcast.function)
        if upcast.model is not None:
            found.add_type(upcast.model)


def _name(event: type[Event]) -> str:
    return event.__type_name__


def kind_of(initial: Callable[[], S], local: Mapping[str, Any]) -> Any:
    """The type of the states that it makes: itself, what it is annotated to return, or what it returns.

    Raises:
        DefinitionError: it is annotated with what is not there at run time, nor in `local`.
    """
    made: Any = initial
    if isinstance(made, type):
        return cast("Any", made)
    annotated = annotations_of(made, dict(local)).get("return") if isinstance(made, FunctionType) else None
    return cast("Any", type(made())) if annotated is None else annotated
