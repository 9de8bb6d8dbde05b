"""A registry behind HTTP that answers wrongly, slowly or far too much."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from eventstore.registry_connection import LARGEST_ANSWER_BYTES
from eventstore.registry_errors import RegistryRefused, RegistryUnreachable
from eventstore.registry_http import HttpRegistry
from schemas import Event, Schema
from schemas.avro import AvroCodec
from tests.eventstore.registry.foreign import Foreign, foreign, said
from tests.waiting import eventually


class Placed(Event, name="order.placed"):
    order_id: str


class Paid(Event, name="order.paid"):
    cents: int


PLACED, PAID = (AvroCodec().schema_of(each) for each in (Placed, Paid))


@pytest.fixture
def server() -> Generator[Foreign]:
    """It has nothing yet."""
    with foreign() as found:
        yield found


@pytest.fixture
def registry(server: Foreign) -> Generator[HttpRegistry]:
    """Its client, soon out of patience."""
    with HttpRegistry(server.url, patience_seconds=0.5) as found:
        yield found


def test_one_id_for_two_schemas_is_refused(server: Foreign, registry: HttpRegistry) -> None:
    """What is written with it would be read as the other one."""
    server.answers[""] = said({"id": 5})
    registry.register("order.placed", PLACED)

    with pytest.raises(RegistryRefused, match=r"gave id 5 to order\.paid version 1, and it stands for order\.placed"):
        registry.register("order.paid", PAID)
    assert registry.get(5) == PLACED


def test_a_read_id_that_is_given_to_another_schema_is_refused(server: Foreign, registry: HttpRegistry) -> None:
    """As a registry does that was restored from an old copy."""
    server.answers["GET /schemas/ids/5"] = said({"schema": PLACED.text})
    server.answers["POST /subjects/order.paid/versions"] = said({"id": 5})
    registry.find(5)

    with pytest.raises(RegistryRefused, match="restored from an old copy"):
        registry.register("order.paid", PAID)


def test_the_same_schema_in_other_words_is_the_same(server: Foreign, registry: HttpRegistry) -> None:
    """Confluent's registry spells names its own way."""
    content: dict[str, Any] = json.loads(PLACED.text)
    other = {**content, "name": "placed", "namespace": "order"}
    server.answers["GET /schemas/ids/5"] = said({"schema": json.dumps(other)})
    server.answers[""] = said({"subject": "order.placed", "id": 5, "version": 1, "schema": json.dumps(other)})
    registry.find(5)

    assert registry.register("order.placed", PLACED) == 5


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"subject": "order.paid", "id": 7}, r"asked for subject order\.placed, it answered with subject order\.paid"),
        ({"id": 7, "schema": PAID.text}, "it answered with another schema"),
        ({"id": 7, "schema": "{}"}, "it answered with another schema"),
        ({"id": -3}, "gave the id -3, and ids are from 0 to 2147483647"),
        ({"id": 2**31}, "gave the id 2147483648"),
        ({"id": 1.0}, "which has no id"),
    ],
)
def test_a_look_up_that_answers_something_else_is_refused(
    server: Foreign, registry: HttpRegistry, answer: object, why: str
) -> None:
    """By name, and nothing is kept of it."""
    server.answers["POST /subjects/order.placed"] = said(answer)

    with pytest.raises(RegistryRefused, match=why):
        registry.register("order.placed", PLACED)
    assert registry.get(7) is None


def test_a_version_that_is_another_one_is_refused(server: Foreign, registry: HttpRegistry) -> None:
    """It is not taken for the one that was asked for."""
    server.answers["GET /subjects/order.placed/versions"] = said([2])
    server.answers["GET /subjects/order.placed/versions/2"] = said({"version": 1, "id": 1, "schema": PLACED.text})

    with pytest.raises(RegistryRefused, match="asked for version 2, it answered with version 1"):
        registry.versions("order.placed")


def _versions(registry: HttpRegistry) -> object:
    return registry.versions("order.placed")


@pytest.mark.parametrize("answer", [{}, None, "", 0, [None], [[]]])
@pytest.mark.parametrize("ask", [HttpRegistry.subjects, _versions], ids=["subjects", "versions"])
def test_what_is_no_list_is_refused(
    server: Foreign, registry: HttpRegistry, ask: Callable[[HttpRegistry], object], answer: object
) -> None:
    """It is not taken for an empty one."""
    server.answers[""] = said(answer)

    with pytest.raises(RegistryRefused, match="which is no list of what it has"):
        ask(registry)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (said({"message": "no"}, status=401), "status 401: no: check the credentials"),
        (said({"message": "no"}, status=422), "status 422: no: correct what it names"),
        (said(b"", status=302, headers="Location: /login\r\n"), "status 302: Said: give the URL that it redirects to"),
        (said(b"", status=404), "status 404: it has no /subjects: check the path of the URL"),
        (said(b"<html>"), "cannot be used: it answered no JSON: check that the URL is that of a schema registry"),
        (
            said(b"[]", headers="Content-Encoding: gzip\r\n"),
            r"cannot be used: its answer is not encoded as it says \(gzip\)",
        ),
        (said(b"[" + b" " * LARGEST_ANSWER_BYTES + b"]"), f"its answer is larger than {LARGEST_ANSWER_BYTES} bytes"),
    ],
    ids=["credentials", "request", "redirect", "path", "page", "encoding", "size"],
)
def test_a_refusal_says_what_fits_it(server: Foreign, answer: bytes, why: str) -> None:
    """The credentials are named only where they matter; and nothing of it is tried again."""
    server.answers[""] = answer

    with HttpRegistry(server.url) as registry, pytest.raises(RegistryRefused, match=why) as refused:
        registry.subjects()
    assert ("credentials" in str(refused.value)) == (refused.value.status == 401)
    assert len(server.requests) == 1


def _dripping(start: bytes, patience: threading.Event) -> Iterator[bytes]:
    yield start
    while not patience.wait(0.02):
        yield b" "


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"])
def test_a_server_that_drips_holds_nobody_longer_than_the_patience(
    server: Foreign, registry: HttpRegistry, start: bytes
) -> None:
    """Wherever it is slow: in the head of its answer or in the body."""
    over = threading.Event()
    server.answers[""] = _dripping(start, over)
    began = time.monotonic()

    with pytest.raises(RegistryUnreachable, match=r"there was no whole answer within 0\.5 s"):
        registry.subjects()

    over.set()
    assert time.monotonic() - began < 3


def test_who_waits_for_an_answer_is_told_when_the_registry_is_closed(server: Foreign) -> None:
    """At once, however much patience is left; later calls too."""
    over = threading.Event()
    server.answers[""] = _dripping(b"HTTP/1.1 200 OK\r\nX: ", over)
    registry, told = HttpRegistry(server.url, patience_seconds=60), list[str]()

    def ask() -> None:
        with pytest.raises(RegistryUnreachable) as refused:
            registry.subjects()
        told.append(refused.value.why)

    thread = threading.Thread(target=ask)
    thread.start()
    eventually(lambda: server.requests == ["GET /subjects"], 20)
    registry.close()
    thread.join(20)
    ask()

    over.set()
    assert told == ["the connection to it was closed"] * 2


def test_what_is_known_stays_readable_when_it_is_closed(server: Foreign, registry: HttpRegistry) -> None:
    """No server is asked for it."""
    server.answers["GET /schemas/ids/5"] = said({"schema": PLACED.text})
    found: Schema | None = registry.find(5)
    registry.close()

    assert found == registry.find(5) == PLACED
