"""The schemas of a file in the registry of the log that it is imported into.

A dry run checks them by the modes that the registry has, as `schemas.registry` does. Not promised for a registry behind
HTTP: it compares by rules of its own, and may refuse what a dry run let pass.
"""

from __future__ import annotations

from collections.abc import Mapping

from schemas import Registry, Schema
from schemas.registry import check_new
from schemas.wire import header_of


def registered(registry: Registry, schemas: Mapping[int, Schema]) -> dict[int, bytes]:
    """The wire header of each schema in the registry, which gets those that it does not have.

    Raises:
        Incompatible: the registry refuses one of them.
    """
    ordered = _in_order(schemas)
    ids = registry.register_many([(schema.name, schema) for _, schema in ordered])
    return {number: header_of(id_) for (number, _), id_ in zip(ordered, ids, strict=True)}


def known(registry: Registry, schemas: Mapping[int, Schema]) -> dict[int, bytes]:
    """The same without registering; empty where the registry does not have the schema, and would take it.

    Raises:
        Incompatible: it would refuse one of them.
    """
    registry.refresh()
    found: dict[int, bytes] = {}
    missing: list[Schema] = []
    for number, schema in _in_order(schemas):
        ids = [each.id for each in registry.versions(schema.name) if each.schema == schema]
        found[number] = header_of(ids[0]) if ids else b""
        if not ids:
            missing.append(schema)
    check_new([(schema.name, schema) for schema in missing], registry.versions, registry.mode)
    return found


def types_of(schemas: Mapping[int, Schema]) -> dict[str, list[int]]:
    """Names of the types, each with its versions."""
    found: dict[str, set[int]] = {}
    for schema in schemas.values():
        found.setdefault(schema.name, set()).add(schema.version)
    return {name: sorted(versions) for name, versions in sorted(found.items())}


def left_behind(registry: Registry, schemas: Mapping[int, Schema]) -> list[str]:
    """The types that the registry has only in newer versions.

    Whether code leads from these to the newer ones is known where it runs, and it does not start if it does not.
    """
    registry.refresh()
    found: list[str] = []
    for name, versions in types_of(schemas).items():
        there = {each.schema.version for each in registry.versions(name)}
        newest = max(there, default=0)
        found += [f"{name} version {version}" for version in versions if version < newest and version not in there]
    return found


def _in_order(schemas: Mapping[int, Schema]) -> list[tuple[int, Schema]]:
    """In the order in which they were registered, which their compatibility needs."""
    return sorted(schemas.items())
