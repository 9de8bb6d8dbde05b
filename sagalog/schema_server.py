"""The log's registry over Confluent's HTTP API, read-only, so that foreign consumers can read our topics.

    GET   /subjects                               names
    GET   /subjects/{subject}/versions            numbers; /{number or latest}: one of them; …/schema: its text alone
    POST  /subjects/{subject}                     look a schema up
    POST  /subjects/{subject}/versions            its id, if it is registered; else 422: only services register
    POST  /compatibility/subjects/{subject}/versions[/{number or latest}]    whether a schema might follow
    GET   /schemas/ids/{id}                       a schema; …/schema, …/subjects, …/versions
    GET   /schemas/types, /config[/{subject}], /mode

Errors are JSON with `error_code` and `message`, the codes Confluent's. It has no authentication: bind it to an address
that only your own network reaches. Needs the extra `web`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from schemas import Registered, Registry, Schema, SchemaInvalid
from schemas.compatibility import problems

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_TYPES = {"avro": "AVRO", "json": "JSON"}
_NO_SUBJECT, _NO_VERSION, _NO_SCHEMA, _BAD_SCHEMA, _READ_ONLY = 40401, 40402, 40403, 42201, 42205


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
        from starlette.routing import Route
    except ImportError as error:
        raise WebExtraMissing from error
    served = _Served(registry)
    one = "/subjects/{subject}/versions/{number}"
    routes = [
        Route("/", _answering(lambda _: {}), methods=["GET"]),
        Route("/subjects", _answering(served.subjects), methods=["GET"]),
        Route("/subjects/{subject}", _answering(served.look_up), methods=["POST"]),
        Route("/subjects/{subject}/versions", _answering(served.versions), methods=["GET"]),
        Route("/subjects/{subject}/versions", _answering(served.register), methods=["POST"]),
        Route(one, _answering(lambda request: _facts(served.version(request))), methods=["GET"]),
        Route(f"{one}/schema", _answering(lambda r: json.loads(served.version(r).schema.text)), methods=["GET"]),
        Route("/schemas/types", _answering(lambda _: ["AVRO", "JSON"]), methods=["GET"]),
        Route("/schemas/ids/{id:int}", _answering(served.by_id), methods=["GET"]),
        Route("/schemas/ids/{id:int}/{what}", _answering(served.of_id), methods=["GET"]),
        Route("/config", _answering(served.config), methods=["GET"]),
        Route("/config/{subject}", _answering(served.config), methods=["GET"]),
        Route("/mode", _answering(lambda _: {"mode": "READONLY"}), methods=["GET"]),
        Route("/compatibility/subjects/{subject}/versions", _answering(served.is_compatible), methods=["POST"]),
        Route("/compatibility" + one, _answering(served.is_compatible), methods=["POST"]),
    ]
    return Starlette(routes=routes)


class _Body:
    """A request with its body, which only a coroutine can read."""

    def __init__(self, request: Request, body: bytes) -> None:
        self.parameters: dict[str, Any] = request.path_params
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
            content = {"error_code": refused.code, "message": refused.message}
            return JSONResponse(content, status_code=refused.code // 100, media_type=_MEDIA_TYPE)
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
        found, wanted = self._registered(body), str(body.parameters["number"])
        if wanted in ("latest", "-1"):
            return found[-1]
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
            said = [str(each) for each in problems(schema, old.schema, mode)]
        except SchemaInvalid as error:
            raise _Refused(_BAD_SCHEMA, f"Invalid schema: {error}") from error
        return {"is_compatible": not said, "messages": said}

    def _of_id(self, body: _Body) -> Schema:
        schema = self._registry.find(body.parameters["id"])
        if schema is None:
            raise _Refused(_NO_SCHEMA, f"Schema {body.parameters['id']} not found")
        return schema

    def by_id(self, body: _Body) -> object:
        schema = self._of_id(body)
        return {"schema": schema.text, **({} if schema.format == "avro" else {"schemaType": "JSON"})}

    def of_id(self, body: _Body) -> object:
        schema, what = self._of_id(body), body.parameters["what"]
        if what == "schema":
            return json.loads(schema.text)
        found = [each for name in self._registry.subjects() for each in self._registry.versions(name)]
        here = [each for each in found if each.id == body.parameters["id"]]
        if what == "subjects":
            return [each.subject for each in here]
        if what == "versions":
            return [{"subject": each.subject, "version": each.number} for each in here]
        raise _Refused(404 * 100, "HTTP 404 Not Found")

    def config(self, body: _Body) -> object:
        self._registry.refresh()
        return {"compatibilityLevel": self._registry.mode(body.parameters.get("subject")).upper()}


def _facts(each: Registered) -> dict[str, object]:
    return {
        "subject": each.subject,
        "id": each.id,
        "version": each.number,
        "schemaType": _TYPES[each.schema.format],
        "schema": each.schema.text,
    }
