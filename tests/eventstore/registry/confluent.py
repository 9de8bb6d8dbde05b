"""A stand-in for Confluent's registry: it registers, has modes and wants credentials."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sagalog.schema_server import application
from schemas import Incompatible, MemoryRegistry, Schema

BASIC = "Basic " + base64.b64encode(b"shop:s3cret@x").decode()


class Confluent:
    """The read-only API of ours, and beside it what only registries of others have."""

    def __init__(self, *, authorization: str = "") -> None:
        self.registry = MemoryRegistry(mode="backward")
        self.requests: list[str] = []
        self.failures: list[int] = []
        """Status codes that the next requests get instead of an answer."""
        self._authorization = authorization
        self._reading = application(self.registry)
        routes = [
            Route("/subjects/{subject}/versions", self._register, methods=["POST"]),
            Route("/config", self._set_mode, methods=["PUT"]),
            Route("/config/{subject}", self._set_mode, methods=["PUT", "DELETE"]),
            *self._reading.routes,
        ]
        self._application = Starlette(routes=routes)

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        request = Request(scope)
        self.requests.append(f"{request.method} {request.url.path}")
        if self.failures:
            status = self.failures.pop(0)
            await JSONResponse({"error_code": status, "message": "not now"}, status)(scope, receive, send)
        elif self._authorization and request.headers.get("authorization") != self._authorization:
            await JSONResponse({"error_code": 401, "message": "who are you?"}, 401)(scope, receive, send)
        else:
            await self._application(scope, receive, send)

    async def _register(self, request: Request) -> Response:
        body = json.loads(await request.body())
        schema = Schema.parse("json" if body.get("schemaType") == "JSON" else "avro", body["schema"])
        try:
            return JSONResponse({"id": self.registry.register(request.path_params["subject"], schema)})
        except Incompatible as refused:
            return JSONResponse({"error_code": 409, "message": str(refused.problems[0])}, 409)

    async def _set_mode(self, request: Request) -> Response:
        subject = request.path_params.get("subject")
        body = json.loads(await request.body()) if request.method == "PUT" else {"compatibility": None}
        mode = body["compatibility"]
        self.registry.set_mode(subject, mode and mode.lower())
        return JSONResponse(body)
