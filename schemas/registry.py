"""Registries: schemas by subject, the ids they are known by, and what may follow what.

A registry maps a schema to an id that never changes and is never used again, and refuses a schema that its subject's
compatibility mode forbids (`schemas.compatibility`). A subject is a type's name: Confluent's *RecordNameStrategy*. Its
*TopicNameStrategy* (`<topic>-value`) allows one type per topic, and an event store's topic holds many.

`MemoryRegistry` is the reference; the one that lives in a topic is `eventstore.registry`, the one behind HTTP
`eventstore.registry_http`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from schemas.compatibility import DEFAULT_MODE, Mode, check
from schemas.schema import Schema

Entry: TypeAlias = tuple[str, Schema]
"""A schema under a subject."""


class Registered(NamedTuple):
    """A schema as it stands in a registry."""

    id: int
    subject: str
    number: int
    """Its place among the schemas of its subject, from 1: what Confluent calls the version."""
    schema: Schema


class Registry(Protocol):
    """Maps schemas to ids. Any thread may call it."""

    def register(self, subject: str, schema: Schema) -> int:
        """The id of the schema under the subject, a new one if it has none yet.

        Raises:
            Incompatible: the subject's mode forbids the schema after the earlier ones.
        """
        ...

    def register_many(self, entries: Sequence[Entry]) -> list[int]:
        """The ids of many schemas, in their order, at the cost of one; all or none.

        Raises:
            Incompatible: the mode of a subject forbids one of them after the earlier ones.
        """
        ...

    def get(self, id: int) -> Schema | None:
        """The schema of an id, as far as the registry was read. Costs no I/O."""
        ...

    def find(self, id: int) -> Schema | None:
        """The schema of an id; looks into the registry if it is not known here yet. None: there is none."""
        ...

    def refresh(self) -> None:
        """Read to the end: everything that was registered before this call is known after it."""
        ...

    def subjects(self) -> list[str]:
        """All subjects, sorted, as far as the registry was read."""
        ...

    def versions(self, subject: str) -> list[Registered]:
        """The schemas of a subject, the oldest first, as far as the registry was read."""
        ...

    def mode(self, subject: str | None = None) -> Mode:
        """The compatibility mode of a subject; of None: what holds for those that have none of their own."""
        ...


def check_new(
    entries: Sequence[Entry], earlier: Callable[[str], Sequence[Registered]], mode: Callable[[str], Mode]
) -> None:
    """Check what is about to be registered, in this order. `earlier`, `mode`: of a subject.

    Raises:
        Incompatible: a subject's mode forbids one of them.
    """
    new: dict[str, list[Schema]] = {}
    for subject, schema in entries:
        added = new.setdefault(subject, [])
        check(subject, schema, [*(each.schema for each in earlier(subject)), *added], mode(subject))
        added.append(schema)


class Catalog:
    """What was read of a registry. Not for several threads at once, but reading one id is."""

    def __init__(self) -> None:
        self._schemas: dict[int, Schema] = {}
        self._ids: dict[Entry, int] = {}
        self._subjects: dict[str, list[Registered]] = {}
        self._modes: dict[str | None, Mode] = {}

    def learn(self, id: int, subject: str, schema: Schema) -> None:
        """Take in a schema. The same again changes nothing."""
        if (subject, schema) not in self._ids:
            found = self._subjects.setdefault(subject, [])
            found.append(Registered(id, subject, len(found) + 1, schema))
        self._ids[subject, schema] = id
        self._schemas[id] = schema

    def learn_mode(self, subject: str | None, mode: Mode | None) -> None:
        """Take in a mode; None takes it away."""
        if mode is None:
            self._modes.pop(subject, None)
        else:
            self._modes[subject] = mode

    def get(self, id: int) -> Schema | None:
        """The schema of an id."""
        return self._schemas.get(id)

    def id_of(self, entry: Entry) -> int:
        """The id of what is not `missing`."""
        return self._ids[entry]

    def missing(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those that have no id, each once."""
        return [entry for entry in dict.fromkeys(entries) if entry not in self._ids]

    def check(self, entries: Sequence[Entry]) -> None:
        """Check what is about to be registered, in this order.

        Raises:
            Incompatible: a subject's mode forbids one of them.
        """
        check_new(entries, self.versions, self.mode)

    @property
    def last_id(self) -> int:
        """The highest id there is, or 0."""
        return max(self._schemas, default=0)

    def subjects(self) -> list[str]:
        """All subjects, sorted."""
        return sorted(self._subjects)

    def versions(self, subject: str) -> list[Registered]:
        """The schemas of a subject, the oldest first."""
        return list(self._subjects.get(subject, ()))

    def own_mode(self, subject: str | None) -> Mode | None:
        """The mode that was set for the subject itself."""
        return self._modes.get(subject)

    def mode(self, subject: str | None = None) -> Mode:
        """The mode of a subject, else the general one, else the default."""
        return self._modes.get(subject) or self._modes.get(None) or DEFAULT_MODE


class MemoryRegistry:
    """A registry of this process, for tests and `memory://`."""

    def __init__(self, *, mode: Mode = DEFAULT_MODE) -> None:
        self._lock = threading.Lock()
        self._catalog = Catalog()
        self._catalog.learn_mode(None, mode)

    def register(self, subject: str, schema: Schema) -> int:
        """See `Registry`."""
        return self.register_many([(subject, schema)])[0]

    def register_many(self, entries: Sequence[Entry]) -> list[int]:
        """See `Registry`."""
        with self._lock:
            missing = self._catalog.missing(entries)
            self._catalog.check(missing)
            for subject, schema in missing:
                self._catalog.learn(self._catalog.last_id + 1, subject, schema)
            return [self._catalog.id_of(entry) for entry in entries]

    def get(self, id: int) -> Schema | None:
        """See `Registry`."""
        return self._catalog.get(id)

    def find(self, id: int) -> Schema | None:
        """See `Registry`."""
        found = self.get(id)
        if found is None:
            self.refresh()
            found = self.get(id)
        return found

    def refresh(self) -> None:
        """Does nothing: everything is known at once."""

    def subjects(self) -> list[str]:
        """See `Registry`."""
        return self._catalog.subjects()

    def versions(self, subject: str) -> list[Registered]:
        """See `Registry`."""
        return self._catalog.versions(subject)

    def mode(self, subject: str | None = None) -> Mode:
        """See `Registry`."""
        return self._catalog.mode(subject)

    def set_mode(self, subject: str | None, mode: Mode | None) -> None:
        """Set the mode of a subject, or of all that have none of their own; None takes it away."""
        with self._lock:
            self._catalog.learn_mode(subject, mode)
