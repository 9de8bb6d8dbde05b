"""Find state that a decision changed and no event tells of: fold the history anew and compare.

Such a change is in memory only: it is gone when the entity is read from its events again, and stays when a snapshot
kept it. Specifications look for it; a running service does not, which would cost it a fold per decision.

Not found: what a handler changes in values that have no equality, or that `@evolve` makes anew each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from pydantic import BaseModel

from eventstore.errors import DecisionError
from eventstore.processor.port import Processor
from schemas import Event


class ChangedWithoutEvent(DecisionError):
    """A decision changed the state itself: the change is lost when the entity is read from its events again."""

    def __init__(self, state: str, field: str, is_value: object, folded: object) -> None:
        what = f"{state}.{field}" if field else f"the {state}"
        super().__init__(
            f"{what} was changed in @decide: it is {is_value!r}, and {folded!r} when the events are folded again, as "
            "after a restart. Change fields only in @evolve: record an event that says what happened"
        )
        self.state, self.field = state, field


class Refold:
    """Folds a history apart from the one that is decided on."""

    def __init__(self, processor: Processor[Any], key: str, history: Sequence[Event]) -> None:
        """`history` is copied, so that a decision that changes what an event holds is noticed as well."""
        self._processor, self._key, self._history = processor, key, deepcopy(tuple(history))

    def compare(self, state: Any, recorded: Sequence[Event]) -> None:
        """Compare a state with what the history and the recorded events make.

        Raises:
            ChangedWithoutEvent: they differ.
        """
        first, second = self._fold(recorded), self._fold(recorded)
        is_there, folded, again = _fields(state), _fields(first), _fields(second)
        for field, value in folded.items():
            if again.get(field) == value and is_there.get(field) != value:
                raise ChangedWithoutEvent(type(first).__name__, field, is_there.get(field), value)

    def _fold(self, recorded: Sequence[Event]) -> Any:
        state = self._processor.initial(self._key)
        for event in deepcopy((*self._history, *recorded)):
            state = self._processor.evolve(state, event)
        return state


def _fields(state: Any) -> Mapping[str, object]:
    if isinstance(state, BaseModel):
        return {name: getattr(state, name) for name in (*type(state).model_fields, *(state.__pydantic_private__ or ()))}
    return {"": state}
