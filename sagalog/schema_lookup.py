"""Find a registered schema by what a person writes: NAME, NAME@VERSION or an id."""

from __future__ import annotations

import difflib

from schemas import Registered, Registry


class SchemaNotFound(Exception):
    """The registry has no such schema. The message says what there is."""


def look_up(registry: Registry, wanted: str) -> Registered:
    """The schema of an id, or the last one of a type, of its newest version or of the one that is given.

    Raises:
        SchemaNotFound: there is none.
    """
    subjects = registry.subjects()
    name, _, version = wanted.partition("@")
    if wanted.isdecimal():
        found = [each for subject in subjects for each in registry.versions(subject) if each.id == int(wanted)]
    else:
        found = [each for each in registry.versions(name) if not version or str(each.schema.version) == version]
    if not found:
        raise SchemaNotFound(f"there is no schema {wanted}{_offer(registry, name, subjects)}")
    return max(found, key=lambda each: (each.schema.version, each.number))


def missing_type(registry: Registry, name: str) -> str | None:
    """That there is no schema of a type yet; None: there is one."""
    subjects = registry.subjects()
    return None if name in subjects else f"there is no schema {name} yet{_offer(registry, name, subjects)}"


def _offer(registry: Registry, name: str, subjects: list[str]) -> str:
    if name in subjects:
        versions = sorted({each.schema.version for each in registry.versions(name)})
        return f": {name} has version {', '.join(map(str, versions))}"
    close = difflib.get_close_matches(name, subjects, n=1)
    return f": did you mean {close[0]}?" if close else ": `sagalog schemas list` shows what there is"
