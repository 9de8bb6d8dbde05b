"""Decoders of what comes over sockets: frames of the embedded engine, reads of tables, registries behind HTTP."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# Lambdas that hypothesis fills have no types.

from __future__ import annotations

import asyncio
import atexit
import json
import shutil
import socket
import tempfile
import threading
from contextlib import suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import strategies as st

from consumers.remote import Answer, Question, pack, unpack_answer, unpack_question
from eventstore.log.local.broker import Broker
from eventstore.log.local.lists import ListStore
from eventstore.log.local.remote import messages as m
from eventstore.log.local.remote.owner import socket_of
from eventstore.log.local.remote.server import Server
from eventstore.log.records import Topic
from eventstore.registry_errors import RegistryError
from eventstore.registry_http import HttpRegistry
from sagalog.schema_server import application
from schemas import SchemaInvalid
from schemas.avro import AvroCodec
from schemas.registry import MemoryRegistry
from tests.fuzz.decoders import Decoder
from tests.fuzz.in_rows import blobs, counts, texts
from tests.schemas.samples import Flat

_SCHEMA = AvroCodec().schema_of(Flat)
_RECORDS = st.builds(m.NewRecord, texts, st.integers(0, 9), blobs, blobs, st.just(()), st.none() | counts)
_SENT_RECORDS = st.one_of(_RECORDS.map(m.packed), counts.map(msgspec.msgpack.encode))
_FAILURES = st.sampled_from(["TopicMissing", "MessageTooLarge", "LogClosed"])
_REQUESTS: st.SearchStrategy[m.Request] = st.one_of(
    st.sampled_from([m.Hello(), m.Yield()]),
    st.builds(m.Describe, st.none() | st.lists(texts, max_size=3)),
    st.builds(m.Produce, st.lists(_SENT_RECORDS.map(msgspec.Raw), max_size=2)),
    st.builds(m.Configure, texts, st.dictionaries(texts, texts, max_size=2)),
)  # fmt: skip
_PLACES = st.lists(st.tuples(st.sampled_from(["t", "u"]), st.integers(-2, 2)), max_size=2)
_SENT: st.SearchStrategy[m.Request] = st.one_of(
    _REQUESTS,
    st.builds(m.Bounds, _PLACES),
    st.builds(m.Committed, texts, _PLACES),
    st.builds(
        m.Read,
        st.lists(st.tuples(st.just("t"), st.integers(-1, 1), st.integers(-(2**63), 2**63 - 1)), max_size=2),
        st.integers(-1, 9),
        st.floats(0, 0.01),
    ),
)
_ANSWERS: st.SearchStrategy[m.Answer] = st.one_of(
    st.builds(m.Welcome, st.integers(1, 99), st.integers(1, 2**20)),
    st.builds(m.Names, st.lists(texts, max_size=3)),
    st.builds(m.Yielded, st.booleans()),
    st.builds(m.Failed, _FAILURES, texts, st.dictionaries(texts, texts, max_size=2)),
)  # fmt: skip


def frame_of(message: m.Request | m.Answer) -> bytes:
    """The bytes that are sent of a message."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        m.send(ours, message)
        ours.shutdown(socket.SHUT_WR)
        return theirs.recv(1 << 20)


def _request(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(data)
        ours.shutdown(socket.SHUT_WR)
        while m.receive_request(theirs) is not None:
            pass


def _answer(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(data)
        ours.shutdown(socket.SHUT_WR)
        answer = m.receive_answer(theirs)
        if isinstance(answer, m.Failed):
            m.error_of(answer)


@cache
def _owner() -> Path:
    """A folder whose owner answers, for as long as this process runs."""
    folder = Path(tempfile.mkdtemp(prefix="sagalog-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    broker = Broker(ListStore())
    broker.create([Topic(name="t", partitions=1)])
    atexit.register(Server(folder, broker, lambda: False).close)
    return folder


def _asked_owner(data: bytes) -> None:
    """Send an owner anything: it hangs up or answers, and it answers the next one all the same."""
    path = socket_of(_owner())
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        client.settimeout(0.1)  # a read may wait for as long as it says
        with suppress(ConnectionError, TimeoutError):
            while client.recv(1 << 16):
                pass
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        m.send(client, m.Hello())
        assert isinstance(m.receive_answer(client), m.Welcome)


@cache
def _application() -> Any:
    registry = MemoryRegistry()
    registry.register("sample.flat", _SCHEMA)
    return application(registry)


def _posted(path: str, body: bytes) -> None:
    """Post to the served registry. It says what is wrong with a request, and never that it failed itself."""

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        assert message.get("status", 200) < 500, message

    scope: dict[str, Any] = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": [],
        "root_path": "", "scheme": "http", "http_version": "1.1", "client": ("c", 1), "server": ("s", 1),
    }  # fmt: skip
    asyncio.run(_application()(scope, receive, send))


class Foreign(HTTPServer):
    """A registry that answers everything with the same bytes."""

    body = b""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Foreign), "made below"
        size = int(self.headers.get("Content-Length", "0"))
        self.rfile.read(size)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    do_POST = do_GET  # noqa: N815 - as the base class calls it

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged."""


@cache
def foreign() -> Foreign:
    """The one of this process."""
    server = Foreign(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def _asked(body: bytes) -> None:
    """Ask a registry that answers this for all that can be asked. What it should have said, another call may say."""
    server = foreign()
    server.body = body
    with HttpRegistry(f"http://127.0.0.1:{server.server_port}", patience_seconds=0.1) as registry:
        for ask in (
            lambda: registry.find(1),
            registry.subjects,
            lambda: registry.versions("s"),
            registry.mode,
            lambda: registry.register("s", _SCHEMA),
        ):
            with suppress(RegistryError, SchemaInvalid):
                ask()


_BODIES = st.just(json.dumps({"schema": _SCHEMA.text, "schemaType": "AVRO"}).encode())
_FOREIGN = st.sampled_from(
    [json.dumps({"id": 1, "schema": _SCHEMA.text}).encode(), b'["a","b"]', b"[1,2]", b'{"compatibilityLevel":"FULL"}']
)
_QUESTIONS = st.builds(Question, service=texts, version=st.integers(1, 9), partition=st.integers(0, 9), layout=texts)
_ROWS = st.builds(
    lambda rows: Answer(result="rows", rows=rows), st.lists(st.tuples(blobs, st.none() | blobs), max_size=3)
)

SOCKETS = (
    Decoder("request to an embedded log", _request, _REQUESTS.map(frame_of), (ValueError,)),
    Decoder("request that an owner answers", _asked_owner, _SENT.map(frame_of), (), 0.5),
    Decoder("answer of an embedded log", _answer, _ANSWERS.map(frame_of), (ValueError, ConnectionError)),
    Decoder("question about a table", unpack_question, _QUESTIONS.map(pack), (ValueError,)),
    Decoder("answer about a table", unpack_answer, _ROWS.map(pack), (ValueError,)),
    Decoder("body to look a schema up", lambda data: _posted("/subjects/sample.flat", data), _BODIES, (), 0.3),
    Decoder("body to register", lambda data: _posted("/subjects/sample.flat/versions", data), _BODIES, (), 0.3),
    Decoder(
        "body to compare",
        lambda data: _posted("/compatibility/subjects/sample.flat/versions/latest", data),
        _BODIES,
        (),
        0.5,
    ),
    Decoder("answer of a registry", _asked, _FOREIGN, (), 0.3),
)
