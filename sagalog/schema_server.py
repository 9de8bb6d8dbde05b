"""The log's registry over Confluent's HTTP API, read-only, so that foreign consumers can read our topics.

    GET   /subjects                               names
    GET   /subjects/{subject}/versions            numbers; /{number or latest}: one of them; …/schema: its text alone
    POST  /subjects/{subject}                     look a schema up
    POST  /subjects/{subject}/versions            its id, if it is registered; else 422: only services register
    POST  /compatibility/subjects/{subject}/versions[/{number or latest}]    whether a schema might follow
    GET   /schemas/ids/{id}                       a schema; …/schema, …/subjects, …/versions
    GET   /schemas/types, /config[/{subject}], /mode[/{subject}]

All errors are JSON with `error_code` and `message`, the codes Confluent's; what writes is 405. It has no
authentication: bind it to an address that only your own network reaches. Needs the extra `web`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, MutableMapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import structlog

from schemas import Registered, Registry, Schema, SchemaInvalid
from schemas.avro_validity import check_avro
from schemas.compatibility import problems

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Send

log = structlog.get_logger()

_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_TYPES = {"avro": "AVRO", "json": "JSON"}
_NO_SUBJECT, _NO_VERSION, _NO_SCHEMA, _BAD_SCHEMA, _READ_ONLY = 40401, 40402, 40403, 42201, 42205
_NO_PATH, _BAD_VERSION, _FAILED = 404, 42202, 50001
_WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_LONGEST_NUMBER = 10
"""Digits that ids and versions have at most: they are below 2³¹."""


class WebExtraMissing(Exception):
    """The registry shall be served over HTTP, and what serves it is not installed."""

    def __init__(self) -> None:
        super().__init__("serving the registry needs the extra `web`: pip install 'sagalog[web]'")


class _Refused(Exception):
    """The answer is an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def application(registry: Registry) -> Starlette:
    """The ASGI application that serves a registry.

    Raises:
        WebExtraMissing: starlette is not installed.
    """
    try:
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.middleware import Middleware
        from starlette.routing import Route
    except ImportError as error:
        raise WebExtraMissing from error
    served = _Served(registry)
    one, mode = "/subjects/{subject}/versions/{number}", _answering(lambda _: {"mode": "READONLY"})
    routes = [
        Route("/", _answering(lambda _: {}), methods=["GET"]),
        Route("/subjects", _answering(served.subjects), methods=["GET"]),
        Route("/subjects/{subject}", _answering(served.look_up), methods=["POST"]),
        Route("/subjects/{subject}/versions", _answering(served.versions), methods=["GET"]),
        Route("/subjects/{subject}/versions", _answering(served.register), methods=["POST"]),
        Route(one, _answering(lambda request: _facts(served.version(request))), methods=["GET"]),
        Route(f"{one}/schema", _answering(lambda r: json.loads(served.version(r).schema.text)), methods=["GET"]),
        Route("/schemas/types", _answering(lambda _: ["AVRO", "JSON"]), methods=["GET"]),
        Route("/schemas/ids/{id}", _answering(served.by_id), methods=["GET"]),
        Route("/schemas/ids/{id}/{what}", _answering(served.of_id), methods=["GET"]),
        Route("/config", _answering(served.config), methods=["GET"]),
        Route("/config/{subject}", _answering(served.config), methods=["GET"]),
        Route("/mode", mode, methods=["GET"]),
        Route("/mode/{subject}", mode, methods=["GET"]),
        Route("/compatibility/subjects/{subject}/versions", _answering(served.is_compatible), methods=["POST"]),
        Route("/compatibility" + one, _answering(served.is_compatible), methods=["POST"]),
    ]
    refused: Any = {HTTPException: _unrouted}
    return Starlette(routes=routes, middleware=[Middleware(_RawPaths)], exception_handlers=refused)


class _RawPaths:
    """Routes see paths as they were sent: `%2F` in a subject separates nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        raw: bytes | None = scope.get("raw_path")
        await self._app(scope if raw is None else {**scope, "path": raw.decode("latin-1")}, receive, send)


async def _unrouted(request: Request, error: HTTPException) -> Response:
    said = f"HTTP {error.status_code} {HTTPStatus(error.status_code).phrase}"
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and request.method in _WRITES:
        said += ": this registry is read-only: services register schemas themselves"
    return _error(error.status_code, said, dict(error.headers or {}))


def _error(code: int, message: str, headers: dict[str, str] | None = None) -> Response:
    from starlette.responses import JSONResponse

    status = code if code in set(HTTPStatus) else code // 100
    content = {"error_code": code, "message": message}
    return JSONResponse(content, status_code=status, headers=headers, media_type=_MEDIA_TYPE)


class _Body:
    """A request with its body, which only a coroutine can read."""

    def __init__(self, request: Request, body: bytes) -> None:
        self.parameters = {name: unquote(value) for name, value in request.path_params.items()}
        self._body = body

    def schema(self) -> Schema:
        """The schema that the request holds."""
        try:
            content: Any = json.loads(self._body)
            return Schema.parse("json" if content.get("schemaType") == "JSON" else "avro", content["schema"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, SchemaInvalid) as error:
            raise _Refused(_BAD_SCHEMA, f"Invalid schema: {error}") from error


def _answering(answer: Callable[[_Body], object]) -> Any:
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import JSONResponse

    async def respond(request: Request) -> Response:
        body = _Body(request, await request.body())
        try:
            content = await run_in_threadpool(answer, body)
        except _Refused as refused:
            return _error(refused.code, refused.message)
        except Exception:
            log.exception("registry_answer_failed", method=request.method, path=request.url.path)
            return _error(_FAILED, "the registry cannot answer this now: what it logs says why")
        return JSONResponse(content, status_code=HTTPStatus.OK, media_type=_MEDIA_TYPE)

    return respond


class _Served:
    """What each path answers. What is asked for by name is as of now, so the registry is read to its end."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def subjects(self, body: _Body) -> object:
        self._registry.refresh()
        return self._registry.subjects()

    def _registered(self, body: _Body) -> list[Registered]:
        self._registry.refresh()
        subject: str = body.parameters["subject"]
        found = self._registry.versions(subject)
        if not found:
            raise _Refused(_NO_SUBJECT, f"Subject '{subject}' not found.")
        return found

    def versions(self, body: _Body) -> object:
        return [each.number for each in self._registered(body)]

    def version(self, body: _Body) -> Registered:
        found, wanted = self._registered(body), body.parameters["number"]
        if wanted in ("latest", "-1"):
            return found[-1]
        if _number(wanted) is None:
            said = f"The specified version '{wanted[:80]}' is not a valid version id: give a number from 1, or latest"
            raise _Refused(_BAD_VERSION, said)
        for each in found:
            if str(each.number) == wanted:
                return each
        raise _Refused(_NO_VERSION, f"Version {wanted} not found.")

    def look_up(self, body: _Body) -> object:
        found, schema = self._registered(body), body.schema()
        for each in found:
            if each.schema.format == schema.format and json.loads(each.schema.text) == json.loads(schema.text):
                return _facts(each)
        raise _Refused(_NO_SCHEMA, "Schema not found")

    def register(self, body: _Body) -> object:
        try:
            return self.look_up(body)
        except _Refused as refused:
            if refused.code == _BAD_SCHEMA:
                raise
            said = f"Subject '{body.parameters['subject']}' is in read-only mode: services register schemas themselves"
            raise _Refused(_READ_ONLY, said) from refused

    def is_compatible(self, body: _Body) -> object:
        found, schema = self._registered(body), body.schema()
        old = self.version(body) if "number" in body.parameters else found[-1]
        mode = self._registry.mode(body.parameters["subject"])
        try:
            if schema.format == "avro":
                check_avro(schema.text)
            said = [str(each) for each in problems(schema, old.schema, mode)]
        except SchemaInvalid as error:
            raise _Refused(_BAD_SCHEMA, f"Invalid schema: {error}") from error
        return {"is_compatible": not said, "messages": said}

    def _of_id(self, body: _Body) -> Schema:
        wanted = body.parameters["id"]
        id = _number(wanted)
        schema = None if id is None else self._registry.find(id)
        if schema is None:
            raise _Refused(_NO_SCHEMA, f"Schema {wanted[:80]} not found")
        return schema

    def by_id(self, body: _Body) -> object:
        schema = self._of_id(body)
        return {"schema": schema.text, **({} if schema.format == "avro" else {"schemaType": "JSON"})}

    def of_id(self, body: _Body) -> object:
        schema, what = self._of_id(body), body.parameters["what"]
        if what == "schema":
            return json.loads(schema.text)
        found = [each for name in self._registry.subjects() for each in self._registry.versions(name)]
        here = [each for each in found if each.id == _number(body.parameters["id"])]
        if what == "subjects":
            return [each.subject for each in here]
        if what == "versions":
            return [{"subject": each.subject, "version": each.number} for each in here]
        raise _Refused(_NO_PATH, "HTTP 404 Not Found")

    def config(self, body: _Body) -> object:
        self._registry.refresh()
        return {"compatibilityLevel": self._registry.mode(body.parameters.get("subject")).upper()}


def _number(text: str) -> int | None:
    """The id or version that it is; None: it is none."""
    is_one = text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER
    return int(text) if is_one else None


def _facts(each: Registered) -> dict[str, object]:
    return {
        "subject": each.subject,
        "id": each.id,
        "version": each.number,
        "schemaType": _TYPES[each.schema.format],
        "schema": each.schema.text,
    }
