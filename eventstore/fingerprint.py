"""A fingerprint of the code that folds events, and of what it folds: snapshots of other code are not used (E3).

What changes it:

- the bytecode of evolve handlers and upcasters, of what they call of the same top-level package (functions, methods of
  the aggregate, also through modules), and constants that they name: numbers, texts, enum members, tuples of such;
- names and versions of the events, and the schemas of their fields, with the defaults;
- the state's schema, and what a new state is;
- the version given in `Snapshots(version=…)`, and the minor version of Python, whose bytecode is its own.

What does not: comments, formatting and docstrings; and, *though it may matter*, code of other packages, constants of
other types such as dictionaries, names that are looked up at run time (`getattr`, a method of another object), and what
is computed from files or the environment. For these there is `version`.

The same on all processes that run the same code: sets are ordered, addresses and line numbers do not count.

`fingerprint_of_type` is that of a type alone, such as a view's row class: names and types of its fields, their defaults
and bounds, and those of the types in it. No code counts, so it is the same on every version of Python.
"""

from __future__ import annotations

import enum
import functools
import inspect
import json
import sys
from collections.abc import Iterable, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from hashlib import blake2b
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, cast
from uuid import UUID

from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema

SIZE = 16
_PLAIN = (int, float, complex, str, bytes, bool, type(None), Decimal, UUID, date, time, timedelta)
_UNSAID = ("title", "description", "examples")


class Fingerprint:
    """Takes in what counts, in order."""

    def __init__(self, package: str | None) -> None:
        """`package`: the top-level package whose code is followed; None: no code is taken in."""
        self._package = package
        self._digest = blake2b(digest_size=SIZE)
        self._seen: set[CodeType] = set()
        if package is not None:
            self.add(sys.implementation.cache_tag)

    def digest(self) -> bytes:
        """The fingerprint of what was taken in so far."""
        return self._digest.digest()

    def add(self, value: object) -> None:
        """A value, such as a name or a number; an order that Python does not keep does not count."""
        data = canonical(value).encode(errors="surrogatepass")
        self._digest.update(len(data).to_bytes(4, "big") + data)

    def add_type(self, kind: Any) -> None:
        """The schema of a type, and its annotations, which tell more types apart."""
        fields: Mapping[str, Any] = kind.model_fields if _is_model(kind) else {}
        self.add([(name, _annotation(field.annotation)) for name, field in fields.items()] or _annotation(kind))
        try:
            schema = TypeAdapter[Any](kind).json_schema(mode="serialization")
        except PydanticInvalidForJsonSchema:
            return
        self.add(json.dumps(_bare(schema), sort_keys=True))

    def add_code(self, function: Any, owner: type | None = None) -> None:
        """A function and what it calls. `owner`: the class whose methods it may call."""
        plain = _function(function)
        if plain is None or plain.__code__ in self._seen:
            return
        self._seen.add(plain.__code__)
        code = plain.__code__
        self._add_bytecode(code, plain.__doc__)
        self.add([each for each in (plain.__defaults__ or ()) if _is_constant(each)])
        names = sorted(set(_names(code)))
        for name in names:
            if name in plain.__globals__:
                self._add_named(name, plain.__globals__[name], names)
            if owner is not None and (found := inspect.getattr_static(owner, name, None)) is not None:
                self._add_named(name, found, names, owner)
        for name, cell in zip(code.co_freevars, plain.__closure__ or (), strict=False):
            self._add_named(name, _content(cell), names)

    def _add_bytecode(self, code: CodeType, documentation: str | None) -> None:
        self.add([code.co_code, code.co_exceptiontable, code.co_names, code.co_argcount, code.co_kwonlyargcount])
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                self._add_bytecode(constant, None)
            elif constant != documentation:
                self.add(constant)

    def _add_named(self, name: str, value: Any, names: Iterable[str], owner: type | None = None) -> None:
        if isinstance(value, property | functools.cached_property):
            value = cast("Any", value).fget if isinstance(value, property) else cast("Any", value).func
        if isinstance(value, ModuleType):
            if self._is_ours(value.__name__):
                for inner in names:
                    if inner in vars(value):
                        self._add_named(f"{name}.{inner}", vars(value)[inner], ())
        elif _is_constant(value):
            self.add((name, value))
        elif _function(value) is not None and self._is_ours(getattr(value, "__module__", None) or ""):
            self.add(name)
            self.add_code(value, owner)

    def _is_ours(self, module: str) -> bool:
        return module.partition(".")[0] == self._package


def fingerprint_of_type(kind: Any) -> bytes:
    """The fingerprint of a type as it is declared."""
    found = Fingerprint(None)
    found.add_type(kind)
    return found.digest()


def canonical(value: object) -> str:
    """The same text for the same value, in every process. Of what is neither plain nor made of such, only the type."""
    if isinstance(value, enum.Enum):
        return f"{type(value).__qualname__}.{value.name}"
    if isinstance(value, _PLAIN):
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return f"map {[f'{canonical(key)}: {canonical(each)}' for key, each in items]}"
    if isinstance(value, set | frozenset):
        return f"set {sorted(map(canonical, cast('Iterable[object]', value)))}"
    if isinstance(value, list | tuple):
        return f"list {list(map(canonical, cast('Iterable[object]', value)))}"
    return type(value).__qualname__


def _is_constant(value: object) -> bool:
    if isinstance(value, tuple | frozenset):
        return all(map(_is_constant, cast("Iterable[object]", value)))
    return isinstance(value, (*_PLAIN, enum.Enum))


def _function(value: Any) -> FunctionType | None:
    """The function in it, whatever decorates it; None if there is none."""
    while not isinstance(value, FunctionType):
        if isinstance(value, functools.partial):
            value = cast("Any", value).func
        elif isinstance(value, staticmethod | classmethod | MethodType):
            value = cast("Any", value).__func__
        elif hasattr(value, "__wrapped__"):
            value = value.__wrapped__
        else:
            return None
    return value


def _names(code: CodeType) -> Iterable[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _content(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return None


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _annotation(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}" if isinstance(kind, type) else repr(kind)


def _bare(schema: Any, *, is_named: bool = False) -> Any:
    """A JSON schema without what it says to people. `is_named`: its members are names of fields or types."""
    if isinstance(schema, list):
        return [_bare(each) for each in cast("list[object]", schema)]
    if not isinstance(schema, dict):
        return schema
    items = cast("dict[str, Any]", schema).items()
    if is_named:
        return {name: _bare(each) for name, each in items}
    said = [(name, each) for name, each in items if name not in _UNSAID]
    return {
        name: _in_order(each) if name == "default" else _bare(each, is_named=name in ("properties", "$defs"))
        for name, each in said
    }


def _in_order(default: Any) -> Any:
    """A default of which some lists may be sets."""
    if isinstance(default, list):
        ordered = [_in_order(each) for each in cast("list[object]", default)]
        return sorted(ordered, key=lambda each: json.dumps(each, sort_keys=True))
    if isinstance(default, dict):
        return {name: _in_order(each) for name, each in cast("dict[str, Any]", default).items()}
    return default
