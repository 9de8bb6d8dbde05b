"""The registry that is served over HTTP tells errors as Confluent's does."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import httpx2
import pytest

from sagalog.schema_server import application
from schemas import Event, MemoryRegistry, Schema, Serde
from schemas.avro import AvroCodec
from schemas.compatibility import Mode
from tests.eventstore.registry.serving import served


class Paid(Event, name="served.paid"):
    cents: int


PAID = AvroCodec().schema_of(Paid)
SLASHED = Schema("a/b", 1, "avro", PAID.text)


class Breaking(MemoryRegistry):
    """One that cannot say a mode."""

    def mode(self, subject: str | None = None) -> Mode:
        """See `Registry`."""
        raise LookupError("s3cret")


@pytest.fixture
def client() -> Generator[httpx2.Client]:
    """Asks one with two subjects."""
    registry = Breaking()
    Serde(registry, [Paid])
    registry.register("a/b", SLASHED)
    with served(application(registry)) as url, httpx2.Client(base_url=url) as found:
        yield found


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "said"),
    [
        ("GET", "/nope", 404, 404, "HTTP 404 Not Found"),
        ("GET", "/schemas/ids/1/nope", 404, 404, "HTTP 404 Not Found"),
        ("GET", "/schemas/ids/abc", 404, 40403, "Schema abc not found"),
        ("GET", "/schemas/ids/-1", 404, 40403, "Schema -1 not found"),
        ("GET", "/schemas/ids/" + "9" * 5000, 404, 40403, "Schema " + "9" * 80 + " not found"),
        ("GET", "/subjects/served.paid/versions/99", 404, 40402, "Version 99 not found."),
        (
            "GET",
            "/subjects/served.paid/versions/abc",
            422,
            42202,
            "The specified version 'abc' is not a valid version id",
        ),
        ("GET", "/subjects/c%2Fd/versions", 404, 40401, "Subject 'c/d' not found."),
        ("GET", "/subjects/a%252Fb/versions", 404, 40401, "Subject 'a%2Fb' not found."),
        ("GET", "/subjects/served.paid", 405, 405, "HTTP 405 Method Not Allowed"),
        ("PUT", "/config", 405, 405, "HTTP 405 Method Not Allowed: this registry is read-only"),
        ("PUT", "/mode/served.paid", 405, 405, "HTTP 405 Method Not Allowed: this registry is read-only"),
        (
            "DELETE",
            "/subjects/served.paid/versions/1",
            405,
            405,
            "HTTP 405 Method Not Allowed: this registry is read-only",
        ),
        ("GET", "/config", 500, 50001, "the registry cannot answer this now: what it logs says why"),
    ],
)
def test_each_error_is_json_with_a_code(
    client: httpx2.Client, method: str, path: str, status: int, code: int, said: str
) -> None:
    """Whatever was asked, and without what only our log should hold."""
    answer = client.request(method, path)

    content = answer.json()
    assert (answer.status_code, content["error_code"]) == (status, code)
    assert content["message"].startswith(said)
    assert answer.headers["content-type"] == "application/vnd.schemaregistry.v1+json"
    assert "s3cret" not in answer.text


def test_a_subject_with_a_slash_is_found(client: httpx2.Client) -> None:
    """It is sent as %2F."""
    assert client.get("/subjects/a%2Fb/versions").json() == [1]
    assert client.get("/subjects/a%2Fb/versions/1").json()["subject"] == "a/b"


@pytest.mark.parametrize(
    "more",
    [[{"name": "more", "type": "int", "default": "x"}], [{"name": "cents", "type": "long"}]],
    ids=["default", "twice"],
)
def test_what_is_no_valid_avro_is_compatible_with_nothing(more: list[Any]) -> None:
    """A field twice, or a default that does not fit, is 42201 as at Confluent's."""
    registry = MemoryRegistry()
    Serde(registry, [Paid])
    content = json.loads(PAID.text)
    content["fields"] += more

    with served(application(registry)) as url:
        asked = f"{url}/compatibility/subjects/served.paid/versions/latest"
        wrong = httpx2.post(asked, json={"schema": json.dumps(content)})
        right = httpx2.post(asked, json={"schema": PAID.text})

    assert (wrong.status_code, wrong.json()["error_code"]) == (422, 42201)
    assert right.json() == {"is_compatible": True, "messages": []}
