"""Whether one schema reads what another one wrote: the rules of Avro 1.12, "Schema Resolution".

https://avro.apache.org/docs/1.12.0/specification/#schema-resolution; the rules' names are those of Avro's
`SchemaCompatibility.SchemaIncompatibilityType`, which registries show too. These are ours, as Avro would read another
value, or the class none:

- A value whose logical type changed is a wrong number or text: `LOGICAL_TYPE_MISMATCH`.
- Text is not read as bytes, nor bytes as text, though Avro promotes both: `TYPE_MISMATCH`.
- Where a type is limited (`schemas.avro_closed`), it reads what had the same limits, or narrower ones. An enum of
  Avro's and one that is none are read as each other. In a union an enum of Avro's is read as the one of its name,
  before any other; what is none is read as an enum of Avro's only if one alone has its values.

JSON's shapes have no names and may be `any`; a closed set of values is read where all values of its type are. Text is
not read as a union in which some text is something else, such as a date, unless it was in that union before. A decimal
reads decimals and whole numbers, and a number or text of a schema that does not say whether it is one. The keys of maps
stay what they are. Personal data that does not say what it holds is read as any, and any as it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from schemas.shapes import FieldShape, Shape

Rule: TypeAlias = Literal[
    "READER_FIELD_MISSING_DEFAULT_VALUE",
    "TYPE_MISMATCH",
    "NAME_MISMATCH",
    "MISSING_ENUM_SYMBOLS",
    "MISSING_UNION_BRANCH",
    "FIXED_SIZE_MISMATCH",
    "LOGICAL_TYPE_MISMATCH",
]
_PROMOTED: dict[str, frozenset[str]] = {
    "int": frozenset({"long", "float", "double", "decimal"}),
    "long": frozenset({"float", "double", "decimal"}),
    "float": frozenset({"double"}),
}
_NAMED = frozenset({"record", "enum", "fixed"})
_NO_FIELD = "no such field"
_INSIDE = {"array": "[]", "map": "{}"}


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One reason why a reader cannot read a writer's data."""

    field: str
    """The path of the field: `lines[].sku`; empty for the record itself."""
    rule: Rule
    reader: str
    """The reader's type there."""
    writer: str
    """The writer's type there."""
    lacking: tuple[str, ...] = ()
    """Symbols or members of a union that the reader lacks."""


def mismatches(reader: Shape, writer: Shape) -> list[Mismatch]:
    """Every reason why `reader` cannot read what `writer` wrote; none: it can."""
    return list(dict.fromkeys(_Pairs().compare(reader, writer, "")))


class _Pairs:
    """Compares types; a pair that is being compared already holds, so that recursive types end."""

    def __init__(self) -> None:
        self._open: set[tuple[int, int]] = set()

    def compare(self, reader: Shape, writer: Shape, path: str) -> Iterator[Mismatch]:
        if reader.kind == "any":
            return
        writer = _said(writer, reader)
        if new := _texts(reader, writer):
            yield Mismatch(path, "LOGICAL_TYPE_MISMATCH", str(reader), str(writer), new)
        else:
            yield from self._resolve(reader, writer, path)

    def _resolve(self, reader: Shape, writer: Shape, path: str) -> Iterator[Mismatch]:
        if writer.kind == "union":
            yield from self._each_member(reader, writer, path)
        elif reader.kind == "union":
            yield from self._member(reader, writer, path)
        else:
            yield from self._plain(reader, writer, path)

    def _each_member(self, reader: Shape, writer: Shape, path: str) -> Iterator[Mismatch]:
        found = [list(self._resolve(reader, member, path)) for member in writer.members]
        unread = [str(member) for member, each in zip(writer.members, found, strict=True) if _is_whole(each, path)]
        if unread:
            yield Mismatch(path, "MISSING_UNION_BRANCH", str(reader), str(writer), tuple(unread))
        for each in found:
            yield from () if _is_whole(each, path) else each

    def _member(self, reader: Shape, writer: Shape, path: str) -> Iterator[Mismatch]:
        """A member reads it; if none does, what is wrong with the one of its kind."""
        tried = [(member, list(self.compare(member, writer, path))) for member in _members(reader, writer)]
        fit = [member for member, found in tried if not found]
        if fit and not _is_ambiguous(fit, writer):
            return
        alike = [found for member, found in tried if _are_alike(member, writer)]
        if len(alike) == 1:
            yield from alike[0]
        else:
            yield Mismatch(path, "MISSING_UNION_BRANCH", str(reader), str(writer), (str(writer),))

    def _plain(self, reader: Shape, writer: Shape, path: str) -> Iterator[Mismatch]:
        said = str(reader), str(writer)
        if writer.kind == "enum" and reader.kind != "enum" and writer.item is not None:
            yield from self.compare(reader, writer.item, path)
        elif reader.kind != writer.kind:
            if reader.kind not in _PROMOTED.get(writer.kind, ()) or reader.logical != writer.logical:
                yield Mismatch(path, "TYPE_MISMATCH", *said)
        elif reader.kind in _NAMED:
            yield from self._named(reader, writer, path)
        elif reader.kind in _INSIDE:
            yield from self._containers(reader, writer, path)
        elif reader.logical == writer.logical and reader.item is not None and writer.item is not None:
            yield from self.compare(reader.item, writer.item, path)
        elif reader.logical != writer.logical:
            yield Mismatch(path, "LOGICAL_TYPE_MISMATCH", *said)

    def _containers(self, reader: Shape, writer: Shape, path: str) -> Iterator[Mismatch]:
        is_other = reader.logical != writer.logical and (reader.kind == "map" or reader.logical != "")
        is_limited = is_other or bool(reader.symbols and not writer.symbols)
        if reader.places is not None and writer.places is not None and len(reader.places) == len(writer.places):
            for number, (one, other) in enumerate(zip(reader.places, writer.places, strict=True)):
                yield from self.compare(one, other, f"{path}[{number}]")
        elif is_limited or reader.places is not None:
            yield Mismatch(path, "TYPE_MISMATCH", str(reader), str(writer))
        else:
            yield from _lacking(reader, writer, path) if reader.symbols else ()
            if reader.item is not None and writer.item is not None:
                yield from self.compare(reader.item, writer.item, path + _INSIDE[reader.kind])

    def _named(self, reader: Shape, writer: Shape, path: str) -> Iterator[Mismatch]:
        said = str(reader), str(writer)
        if not _have_one_name(reader, writer):
            yield Mismatch(path, "NAME_MISMATCH", *said)
        elif reader.kind == "record":
            yield from self._records(reader, writer, path)
        elif reader.kind == "enum":
            yield from () if reader.has_default else _lacking(reader, writer, path)
        elif reader.size != writer.size:
            yield Mismatch(path, "FIXED_SIZE_MISMATCH", f"{reader.size} bytes", f"{writer.size} bytes")
        elif reader.logical != writer.logical:
            yield Mismatch(path, "LOGICAL_TYPE_MISMATCH", *said)

    def _records(self, reader: Shape, writer: Shape, path: str) -> Iterator[Mismatch]:
        pair = id(reader), id(writer)
        if pair in self._open:
            return
        self._open.add(pair)
        for name, field in reader.fields.items():
            here = f"{path}.{name}" if path else name
            written = _written(name, field, writer)
            if written is not None:
                yield from self.compare(field.shape, written.shape, here)
            elif not field.has_default:
                yield Mismatch(here, "READER_FIELD_MISSING_DEFAULT_VALUE", str(field.shape), _NO_FIELD)
        self._open.discard(pair)


def _said(writer: Shape, reader: Shape) -> Shape:
    """The writer's type; where the reader's holds decimals, a number or text that does not say what it is, is one."""
    plain = [each for each in writer.members if each.kind in ("double", "string") and not each.logical]
    if len(plain) != 2 or "decimal" not in {each.kind for each in (reader, *reader.members)}:
        return writer
    rest = [each for each in writer.members if each not in plain]
    return Shape("union", members=(*rest, Shape("decimal"))) if rest else Shape("decimal")


def _texts(reader: Shape, writer: Shape) -> tuple[str, ...]:
    """Types besides text that the reader's union would make of some of the writer's text, and the writer's did not."""
    written = {each.logical or each.kind for each in (writer, *writer.members)}
    if reader.kind != "union" or writer.kind == "any" or "string" not in written:
        return ()
    found = {each.logical or each.kind for each in reader.members if each.kind == "decimal" or _is_told_text(each)}
    return tuple(sorted(found - written))


def _is_told_text(shape: Shape) -> bool:
    return shape.kind == "string" and bool(shape.logical)


def _written(name: str, field: FieldShape, writer: Shape) -> FieldShape | None:
    names = (name, *field.aliases)
    return next((writer.fields[each] for each in names if each in writer.fields), None)


def _lacking(reader: Shape, writer: Shape, path: str) -> Iterator[Mismatch]:
    lacking = tuple(symbol for symbol in writer.symbols if symbol not in reader.symbols)
    if lacking:
        yield Mismatch(path, "MISSING_ENUM_SYMBOLS", str(reader), str(writer), lacking)


def _is_whole(found: list[Mismatch], path: str) -> bool:
    """Whether the type itself is not read, and not only something in it."""
    return any(each.field == path and each.rule != "MISSING_ENUM_SYMBOLS" for each in found)


def _are_alike(reader: Shape, writer: Shape) -> bool:
    return reader.kind == writer.kind and _have_one_name(reader, writer) and _values_are(reader) == _values_are(writer)


def _members(reader: Shape, writer: Shape) -> list[Shape]:
    """The members of a union that may read it: an enum's name decides."""
    is_named = writer.kind == "enum" and writer.name
    named = [member for member in reader.members if is_named and (member.kind, member.name) == ("enum", writer.name)]
    return named or list(reader.members)


def _is_ambiguous(fit: list[Shape], writer: Shape) -> bool:
    """Whether nothing says which of several enums of Avro's reads an enum that is none."""
    is_unnamed = writer.kind == "enum" and not writer.name
    return is_unnamed and len(fit) > 1 and all(member.kind == "enum" and member.name for member in fit)


def _have_one_name(reader: Shape, writer: Shape) -> bool:
    """Whether names are equal, or one has none: an enum that is none of Avro's."""
    return reader.name == writer.name or not reader.name or not writer.name


def _values_are(shape: Shape) -> str:
    """The type of an enum's values; an enum of Avro's has text."""
    if shape.kind != "enum":
        return ""
    return "string" if shape.item is None else shape.item.kind
