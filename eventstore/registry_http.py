"""A schema registry behind HTTP: Confluent's, or one that speaks its API (Karapace, Apicurio, `sagalog schemas serve`).

    HttpRegistry("https://registry.example")
    HttpRegistry("https://user:password@registry.example/prefix")

The API is https://docs.confluent.io/platform/current/schema-registry/develop/api.html. Subjects are type names
(RecordNameStrategy). Credentials come from the URL, or from the environment: SAGALOG_REGISTRY_AUTH holds
`user:password`, SAGALOG_REGISTRY_TOKEN a bearer token. What was read is kept for good, for ids and schemas never
change. A server that is away, busy (429) or failing (5xx) is asked again for up to 10 s.

The server checks compatibility, between *all* schemas of a subject: it knows nothing of upcasts. Before the next
version of a class is registered, set its subject's mode to `none`, or let the server compare within versions only.
Schemas are registered one by one, so those before a refused one stay.

Needs the extra `registry`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, cast
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import stamina

from eventstore.errors import EventStoreError
from schemas import Incompatible, Registered, Schema, SchemaInvalid
from schemas.compatibility import MODES, Mode
from schemas.registry import Entry
from schemas.schema import Format

if TYPE_CHECKING:
    import httpx2

AUTH_VARIABLE, TOKEN_VARIABLE = "SAGALOG_REGISTRY_AUTH", "SAGALOG_REGISTRY_TOKEN"
CONTENT_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_TYPES: Final[dict[Format, str]] = {"avro": "AVRO", "json": "JSON"}
T = TypeVar("T", int, str)
_FORMATS: Final[dict[str, Format]] = {"AVRO": "avro", "JSON": "json"}
_BUSY: Final = 429
_RETRY_SECONDS, _REQUEST_SECONDS = 10.0, 5.0


class RegistryError(EventStoreError):
    """A schema registry behind HTTP did not do what was asked."""


class RegistryUnreachable(RegistryError):
    """The registry does not answer, or fails: see to it, and to the network; nothing is lost."""

    is_retryable = True

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"the schema registry at {url} cannot be reached: {why}: check the URL and that it runs")
        self.url, self.why = url, why


class RegistryRefused(RegistryError):
    """The registry refused the request: correct the credentials, or what was asked."""

    def __init__(self, url: str, status: int, why: str) -> None:
        super().__init__(
            f"the schema registry at {url} refused with status {status}: {why}: check the credentials (in the URL, "
            f"{AUTH_VARIABLE} or {TOKEN_VARIABLE}) and what they may do"
        )
        self.url, self.status, self.why = url, status, why


class RegistryExtraMissing(RegistryError):
    """A registry behind HTTP is wanted, and its client is not installed."""

    def __init__(self) -> None:
        super().__init__("a registry behind HTTP needs the extra `registry`: pip install 'sagalog[registry]'")


class _Again(Exception):
    """What may be over soon."""


class HttpRegistry:
    """Schemas and ids of a registry behind HTTP. Any thread; calls block."""

    def __init__(self, url: str, *, patience_seconds: float = _RETRY_SECONDS) -> None:
        """`url`: http or https, with `user:password@` or without. `patience_seconds`: how long a busy server is asked.

        Raises:
            RegistryExtraMissing: httpx2 is not installed.
            ValueError: `url` is no URL of a server.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{parts.scheme}://… is no registry: give http://host:port or https://host")
        bare = parts.netloc.rpartition("@")[2]
        self.url = urlunsplit((parts.scheme, bare, parts.path.rstrip("/"), "", ""))
        """Without credentials."""
        self._patience = patience_seconds
        self._client = _client(parts.netloc.rpartition("@")[0])
        self._schemas: dict[int, Schema] = {}
        self._ids: dict[Entry, int] = {}
        self._numbered: dict[tuple[str, int], Registered] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Release connections. What is known stays readable."""
        self._client.close()

    def register(self, subject: str, schema: Schema) -> int:
        """The id of a schema, a new one if it has none yet under this subject (rule E5: looked up first).

        Raises:
            Incompatible: the server's mode for the subject forbids it.
            RegistryError: it cannot be asked.
        """
        if (subject, schema) not in self._ids:
            body = {"schema": schema.text, "schemaType": _TYPES[schema.format]}
            found = self._ask("POST", f"/subjects/{_quoted(subject)}", body)
            if found is None:
                found = self._ask("POST", f"/subjects/{_quoted(subject)}/versions", body, of=(subject, schema))
            if found is None:
                raise RegistryRefused(self.url, 404, f"it does not take schemas of {subject}")
            id = self._id(found)
            self._schemas[id] = schema
            self._ids[subject, schema] = id
        return self._ids[subject, schema]

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
            self._schemas[id] = self._schema(found)
        return self._schemas[id]

    def refresh(self) -> None:
        """Does nothing: what is not known is asked for."""

    def subjects(self) -> list[str]:
        """All subjects, sorted, also those of others.

        Raises:
            RegistryError: it cannot be asked.
        """
        return sorted(self._list("/subjects", str))

    def versions(self, subject: str) -> list[Registered]:
        """The schemas of a subject, the oldest first. Those that are not of sagalog messages are left out.

        Raises:
            RegistryError: it cannot be asked.
        """
        numbers = sorted(self._list(f"/subjects/{_quoted(subject)}/versions", int))
        found = [self._numbered_one(subject, number) for number in numbers]
        return [each for each in found if each is not None]

    def _numbered_one(self, subject: str, number: int) -> Registered | None:
        if (subject, number) not in self._numbered:
            found = self._ask("GET", f"/subjects/{_quoted(subject)}/versions/{number}")
            try:
                if found is None:
                    return None
                self._numbered[subject, number] = Registered(self._id(found), subject, number, self._schema(found))
            except SchemaInvalid:
                return None
        return self._numbered[subject, number]

    def mode(self, subject: str | None = None) -> Mode:
        """The compatibility mode of a subject; of None: of those that have none of their own.

        Raises:
            RegistryError: it cannot be asked.
        """
        found: Any = self._ask("GET", f"/config/{_quoted(subject)}") if subject is not None else None
        found = found or self._ask("GET", "/config") or {"compatibilityLevel": ""}
        said = str(_members(found).get("compatibilityLevel", found)).lower()
        for mode in MODES:
            if mode == said:
                return mode
        raise RegistryRefused(self.url, 200, f"it answered {said!r}, which is no compatibility mode")

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

    def _id(self, found: object) -> int:
        id = _members(found).get("id")
        if type(id) is not int:
            raise RegistryRefused(self.url, 200, f"it answered {str(found)[:80]!r}, which has no id")
        return id

    def _schema(self, found: object) -> Schema:
        members = _members(found)
        text, kind = members.get("schema"), members.get("schemaType", "AVRO")
        if not isinstance(text, str):
            raise RegistryRefused(self.url, 200, f"it answered {str(found)[:80]!r}, which has no schema")
        if not isinstance(kind, str) or kind not in _FORMATS:
            raise SchemaInvalid(f"it is of type {kind}")
        return Schema.parse(_FORMATS[kind], text)

    def _list(self, path: str, of: type[T]) -> list[T]:
        found: object = self._ask("GET", path) or []
        listed = cast("list[object]", found) if isinstance(found, list) else [None]
        if any(type(each) is not of for each in listed):
            raise RegistryRefused(self.url, 200, f"it answered {str(listed)[:80]!r}, which is no list of what it has")
        return cast("list[T]", listed)

    def _ask(self, method: str, path: str, body: object = None, *, of: Entry | None = None) -> Any:
        """What the server answers; None: there is no such thing. `of`: what is registered."""
        import httpx2

        try:
            for attempt in stamina.retry_context(
                on=(_Again, httpx2.TransportError), timeout=self._patience, attempts=None, wait_max=2.0
            ):
                with attempt:
                    answer = self._client.request(method, self.url + path, json=body)
                    if answer.status_code == _BUSY or answer.is_server_error:
                        raise _Again(f"status {answer.status_code}: {_said(answer)}")
                    return self._content(answer, of)
        except (_Again, httpx2.TransportError) as error:
            raise RegistryUnreachable(self.url, str(error) or type(error).__name__) from error
        raise AssertionError("stamina returns or raises")

    def _content(self, answer: httpx2.Response, of: Entry | None) -> Any:
        if answer.status_code == 404:
            return None
        if answer.status_code == 409 and of is not None:
            subject, schema = of
            raise Incompatible(subject, schema.version, self.mode(subject), [_said(answer)])
        if not answer.is_success:
            raise RegistryRefused(self.url, answer.status_code, _said(answer))
        try:
            return answer.json()
        except (ValueError, RecursionError) as error:
            raise RegistryRefused(self.url, answer.status_code, "it answered no JSON") from error


def _client(userinfo: str) -> httpx2.Client:
    try:
        import httpx2
    except ImportError as error:
        raise RegistryExtraMissing from error

    basic, token = userinfo or os.environ.get(AUTH_VARIABLE, ""), os.environ.get(TOKEN_VARIABLE, "")
    user, _, password = basic.partition(":")
    auth = httpx2.BasicAuth(unquote(user), unquote(password)) if userinfo else httpx2.BasicAuth(user, password)
    headers = {"Accept": f"{CONTENT_TYPE}, application/json"}
    if token and not basic:
        headers["Authorization"] = f"Bearer {token}"
    return httpx2.Client(auth=auth if basic else None, headers=headers, timeout=_REQUEST_SECONDS)


def _quoted(subject: str) -> str:
    return quote(subject, safe="")


def _members(found: object) -> dict[str, object]:
    """Of a JSON object; none of anything else."""
    return cast("dict[str, object]", found) if isinstance(found, dict) else {}


def _said(answer: httpx2.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return answer.text[:200] or answer.reason_phrase
