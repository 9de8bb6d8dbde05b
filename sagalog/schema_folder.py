"""A folder of committed schemas: what a repository promises to be able to read, compared with its classes.

    <folder>/<type name>/v<version>.avsc          the first schema of a version (`.json` for format="json")
    <folder>/<type name>/v<version>-2.avsc        the next one, compatible with the first, and so on

Files are written by `update` only, never changed and never deleted, so that what was once in a log stays known. To give
up a type, delete its folder when no log holds it any more.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from schemas import Incompatible, Message, Schema
from schemas.avro import AvroCodec
from schemas.compatibility import Mode, check, problems
from schemas.errors import SchemaInvalid
from schemas.json_codec import JsonCodec
from schemas.schema import Format

Kind: TypeAlias = Literal["new", "changed", "incompatible", "upcast_missing", "renamed", "lost"]
_WRITABLE: Final = frozenset({"new", "changed"})
_FILE = re.compile(r"v(\d+)(?:-(\d+))?\.(avsc|json)")
_ENDINGS: Final[Mapping[Format, str]] = {"avro": "avsc", "json": "json"}


class CommittedUnusable(Exception):
    """Schemas cannot be read from the folder or written into it. The message says why."""

    def __init__(self, path: Path, error: OSError | str) -> None:
        why = error if isinstance(error, str) else error.strerror or error
        super().__init__(f"{path} cannot hold committed schemas ({why}): give a folder that this user may use")
        self.path = path


@dataclass(frozen=True, slots=True)
class Finding:
    """Where classes and folder differ."""

    kind: Kind
    name: str
    version: int
    said: str
    schema: Schema | None = None
    """What `update` writes."""

    @property
    def is_error(self) -> bool:
        """Whether `update` cannot mend it."""
        return self.kind not in _WRITABLE


class SchemaFolder:
    """The committed schemas below a folder."""

    def __init__(self, path: Path) -> None:
        """Read it. A folder that does not exist is empty.

        Raises:
            CommittedUnusable: it is no folder.
            SchemaInvalid: a file holds no schema of a message.
        """
        self._path = path
        self._committed: dict[str, list[Schema]] = {}
        if path.exists() and not path.is_dir():
            raise CommittedUnusable(path, "it is a file")
        for file in sorted(path.glob("*/v*"), key=_order):
            format: Format = "avro" if file.suffix == ".avsc" else "json"
            self._committed.setdefault(file.parent.name, []).append(_read(file, format))

    def compare(self, messages: Iterable[type[Message]], *, mode: Mode, format: Format = "avro") -> list[Finding]:
        """What differs between the classes and the folder, by name and version.

        Raises:
            FieldNotSupported: a field has no form in the format.
        """
        codec = AvroCodec() if format == "avro" else JsonCodec()
        classes = {(each.__type_name__, each.__type_version__): each for each in messages}
        found = [
            finding
            for _, message in sorted(classes.items())
            for finding in self._compare(message, codec.schema_of(message), mode, classes)
        ]
        lost = self._lost(classes)
        pairs = [(gone, self._new_name(gone, found)) for gone in lost]
        renamed = {new.name for _, new in pairs if new is not None}
        kept = [each for each in found if each.name not in renamed]
        return kept + [_renamed(gone, new, classes) if new else _gone(gone) for gone, new in pairs]

    def _compare(
        self, message: type[Message], schema: Schema, mode: Mode, classes: Mapping[tuple[str, int], object]
    ) -> list[Finding]:
        name, version = schema.type_name
        committed = self._committed.get(name, [])
        same = [each for each in committed if (each.version, each.format) == (version, schema.format)]
        found: list[Finding] = []
        if mode.startswith(("backward", "full")):
            found += _missing_steps(message, schema, committed, classes)
        if not same:
            return [*found, Finding("new", name, version, f"{name} version {version} is not committed", schema)]
        if json.loads(same[-1].text) == json.loads(schema.text):
            return found
        try:
            check(name, schema, same, mode)
        except Incompatible as refused:
            said = str(refused).replace("what is registered", "what is committed")
            return [*found, Finding("incompatible", name, version, said)]
        return [*found, Finding("changed", name, version, f"{name} version {version} differs, compatibly", schema)]

    def _lost(self, classes: Mapping[tuple[str, int], object]) -> list[Schema]:
        """The newest committed schema of each type whose newest version no class has."""
        newest = {name: max(committed, key=lambda each: each.version) for name, committed in self._committed.items()}
        has = dict(sorted(classes))
        return [each for name, each in sorted(newest.items()) if has.get(name, 0) < each.version]

    @staticmethod
    def _new_name(gone: Schema, found: list[Finding]) -> Finding | None:
        """The uncommitted type that the class of a lost one has become, if one has the same fields or a like name."""
        new = {each.name: each for each in found if each.kind == "new" and each.version >= gone.version}
        for each in new.values():
            if each.schema is not None and _with_name(gone, each.name) == json.loads(each.schema.text):
                return each
        return next((new[name] for name in difflib.get_close_matches(gone.name, new, n=1)), None)

    def update(self, findings: Iterable[Finding]) -> list[Path]:
        """Write what is new or changed; give the files.

        Raises:
            CommittedUnusable: it cannot be written into.
        """
        try:
            return [self._write(each.schema) for each in findings if each.schema is not None and not each.is_error]
        except OSError as error:
            raise CommittedUnusable(self._path, error) from error

    def _write(self, schema: Schema) -> Path:
        file = self._file(schema)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(json.loads(schema.text), indent=2, ensure_ascii=False) + "\n")
        return file

    def _file(self, schema: Schema) -> Path:
        stem, ending = self._path / schema.name / f"v{schema.version}", _ENDINGS[schema.format]
        number, file = 1, stem.with_name(f"{stem.name}.{ending}")
        while file.exists():
            number += 1
            file = stem.with_name(f"{stem.name}-{number}.{ending}")
        return file


def _read(file: Path, format: Format) -> Schema:
    try:
        text = json.dumps(json.loads(file.read_bytes()), separators=(",", ":"), ensure_ascii=False)
    except (ValueError, RecursionError) as error:
        raise SchemaInvalid(f"{file} is no JSON: {error}") from error
    return Schema.parse(format, text)


def _order(file: Path) -> tuple[str, int, int]:
    found = _FILE.fullmatch(file.name)
    return (file.parent.name, int(found[1]), int(found[2] or 1)) if found else (file.parent.name, 0, 0)


def _missing_steps(
    message: type[Message], schema: Schema, committed: list[Schema], classes: Mapping[tuple[str, int], object]
) -> list[Finding]:
    name, version = schema.type_name
    newest_of_each = {old.version: old for old in committed if old.version < version}
    return [
        Finding("upcast_missing", name, version, _no_step(message, schema, old))
        for older, old in sorted(newest_of_each.items())
        if message.__upcasts__.path(older) is None and (name, older) not in classes
    ]


def _no_step(message: type[Message], schema: Schema, old: Schema) -> str:
    changes = "; ".join(map(str, problems(schema, old, "backward")))
    return (
        f"{schema.name} version {old.version} is committed, and no steps lead from it to version {schema.version}"
        f"{f' ({changes})' if changes else ''}: add @{message.__name__}.upcast(from_version={old.version})"
    )


def _renamed(gone: Schema, new: Finding, classes: Mapping[tuple[str, int], type[Message]]) -> Finding:
    owner = classes[new.name, new.version].__name__
    said = (
        f"{gone.name!r} is committed and no class has that name any more; {owner} looks like it, and its name is "
        f"{new.name!r}: a class that is renamed keeps its type's name, give it name={gone.name!r}"
    )
    return Finding("renamed", gone.name, gone.version, said)


def _gone(gone: Schema) -> Finding:
    said = (
        f"{gone.name!r} version {gone.version} is committed and no class has it: put the class back, or, if no log "
        "holds it any more, delete its files"
    )
    return Finding("lost", gone.name, gone.version, said)


def _with_name(schema: Schema, name: str) -> object:
    """The content of a schema as if its type had that name."""
    text = schema.text
    for end in ('"', "_"):
        text = text.replace(f'"{schema.name}{end}', f'"{name}{end}')
    return json.loads(text)
