"""A schema registry behind HTTP: Confluent's, or one that speaks its API (Karapace, Apicurio, `sagalog schemas serve`).

    HttpRegistry("https://registry.example")
    HttpRegistry("https://user:password@registry.example/prefix")

The API is https://docs.confluent.io/platform/current/schema-registry/develop/api.html. Subjects are type names
(RecordNameStrategy). Credentials come from the URL, or from the environment: SAGALOG_REGISTRY_AUTH holds
`user:password`, SAGALOG_REGISTRY_TOKEN a bearer token. What was read is kept for good, for ids and schemas never
change. A server that is away, busy (429) or failing (5xx) is asked again, and no request takes longer than 10 s
altogether. An answer that speaks of something else than was asked for is refused, and so is an id that stands for
another schema already.

The server checks compatibility, between *all* schemas of a subject: it knows nothing of upcasts. Before the next
version of a class is registered, set its subject's mode to `none`, or let the server compare within versions only.
Schemas are registered one by one, so those before a refused one stay.

Needs the extra `registry`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Self
from urllib.parse import quote

from eventstore.registry_answers import Found
from eventstore.registry_connection import Connection
from eventstore.registry_errors import RegistryRefused
from schemas import Incompatible, Registered, Schema, SchemaInvalid
from schemas.compatibility import MODES, Mode
from schemas.registry import Entry
from schemas.schema import Format

_TYPES: Final[dict[Format, str]] = {"avro": "AVRO", "json": "JSON"}
_CONFLICT, _MISSING = 409, 404
_PATIENCE_SECONDS: Final = 10.0


class HttpRegistry:
    """Schemas and ids of a registry behind HTTP. Any thread; calls block."""

    def __init__(self, url: str, *, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        """`url`: http or https, with `user:password@` or without. `patience_seconds`: how long a request may take, with
        all its attempts.

        Raises:
            RegistryExtraMissing: httpx2 is not installed.
            RegistryUrlInvalid: `url` is no URL of a server.
            RegistryTokenInvalid: the token in the environment is no value of a header.
        """
        self._connection = Connection(url, patience_seconds=patience_seconds)
        self.url = self._connection.url
        """Without credentials."""
        self._schemas: dict[int, Schema] = {}
        self._ids: dict[Entry, int] = {}
        self._numbered: dict[tuple[str, int], Registered] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Release connections; who waits for an answer is told at once. What is known stays readable."""
        self._connection.close()

    def register(self, subject: str, schema: Schema) -> int:
        """The id of a schema, a new one if it has none yet under this subject (rule E5: looked up first).

        Raises:
            Incompatible: the server's mode for the subject forbids it.
            RegistryError: it cannot be asked.
        """
        if (subject, schema) not in self._ids:
            found = self._registered(subject, schema)
            id = found.id()
            found.check(subject=subject)
            found.check_schema(schema)
            found.check_id(id, self._schemas.get(id), schema)
            self._schemas[id] = schema
            self._ids[subject, schema] = id
        return self._ids[subject, schema]

    def _registered(self, subject: str, schema: Schema) -> Found:
        body = {"schema": schema.text, "schemaType": _TYPES[schema.format]}
        found = self._ask("POST", f"/subjects/{_quoted(subject)}", body)
        if found is None:
            found = self._ask("POST", f"/subjects/{_quoted(subject)}/versions", body, of=(subject, schema))
        if found is None:
            raise RegistryRefused(self.url, _MISSING, f"it does not take schemas of {subject}")
        return found

    def register_many(self, entries: Sequence[Entry]) -> list[int]:
        """The ids of many schemas, in their order.

        Raises:
            Incompatible, RegistryError: as for `register`; those before the refused one are registered.
        """
        return [self.register(*entry) for entry in entries]

    def get(self, id: int) -> Schema | None:
        """The schema of an id, if it was asked for before."""
        return self._schemas.get(id)

    def find(self, id: int) -> Schema | None:
        """The schema of an id; None: the server has none.

        Raises:
            RegistryError: it cannot be asked.
            SchemaInvalid: it is no schema of a sagalog message.
        """
        if id not in self._schemas:
            found = self._ask("GET", f"/schemas/ids/{id}")
            if found is None:
                return None
            found.check(id=id)
            self._schemas[id] = found.schema()
        return self._schemas[id]

    def refresh(self) -> None:
        """Does nothing: what is not known is asked for."""

    def subjects(self) -> list[str]:
        """All subjects, sorted, also those of others.

        Raises:
            RegistryError: it cannot be asked.
        """
        found = self._ask("GET", "/subjects")
        if found is None:
            raise RegistryRefused(self.url, _MISSING, "it has no /subjects")
        return sorted(found.listed(str))

    def versions(self, subject: str) -> list[Registered]:
        """The schemas of a subject, the oldest first. Those that are not of sagalog messages are left out.

        Raises:
            RegistryError: it cannot be asked.
        """
        listed = self._ask("GET", f"/subjects/{_quoted(subject)}/versions")
        numbers = [] if listed is None else sorted(listed.listed(int))
        found = [self._numbered_one(subject, number) for number in numbers]
        return [each for each in found if each is not None]

    def _numbered_one(self, subject: str, number: int) -> Registered | None:
        if (subject, number) not in self._numbered:
            found = self._ask("GET", f"/subjects/{_quoted(subject)}/versions/{number}")
            if found is None:
                return None
            found.check(subject=subject, version=number)
            try:
                id, schema = found.id(), found.schema()
            except SchemaInvalid:
                return None
            found.check_id(id, self._schemas.get(id), schema)
            self._numbered[subject, number] = Registered(id, subject, number, schema)
        return self._numbered[subject, number]

    def mode(self, subject: str | None = None) -> Mode:
        """The compatibility mode of a subject; of None: of those that have none of their own.

        Raises:
            RegistryError: it cannot be asked.
        """
        found = None if subject is None else self._ask("GET", f"/config/{_quoted(subject)}")
        found = found or self._ask("GET", "/config")
        if found is None:
            raise RegistryRefused(self.url, _MISSING, "it has no /config")
        said = str(found.member("compatibilityLevel", found)).lower()
        for mode in MODES:
            if mode == said:
                return mode
        return found.refuse(f"it answered {said[:80]!r}, which is no compatibility mode")

    def set_mode(self, subject: str | None, mode: Mode | None) -> None:
        """Set the mode of a subject, of None: of those without one. The mode None takes it away.

        Raises:
            RegistryError: it cannot be set.
        """
        path = "/config" if subject is None else f"/config/{_quoted(subject)}"
        if mode is None:
            self._ask("DELETE", path)
        else:
            self._ask("PUT", path, {"compatibility": mode.upper()})

    def _ask(self, method: str, path: str, body: object = None, *, of: Entry | None = None) -> Found | None:
        """What the server answers; None: there is no such thing. `of`: what is registered."""
        answer = self._connection.ask(method, path, body)
        if answer.status == _MISSING:
            return None
        if answer.status == _CONFLICT and of is not None:
            subject, schema = of
            raise Incompatible(subject, schema.version, self.mode(subject), [answer.said()])
        if not answer.is_success:
            raise RegistryRefused(self.url, answer.status, answer.said())
        try:
            return Found(self.url, answer.content())
        except (ValueError, RecursionError) as error:
            raise RegistryRefused(self.url, answer.status, "it answered no JSON") from error


def _quoted(subject: str) -> str:
    return quote(subject, safe="")
