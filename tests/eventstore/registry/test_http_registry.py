"""A registry behind HTTP (S9): what is asked, what is kept, and how failures are named."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Any

import pytest
from structlog.testing import capture_logs

from eventstore.log import open_log
from eventstore.registry import TopicRegistry
from eventstore.registry_choice import open_registry
from eventstore.registry_errors import (
    RegistryExtraMissing,
    RegistryRefused,
    RegistryTokenInvalid,
    RegistryUnreachable,
    RegistryUrlInvalid,
)
from eventstore.registry_http import HttpRegistry
from sagalog.schema_server import application
from schemas import Event, Incompatible, Serde, UnknownSchema
from schemas.wire import header_of
from tests.eventstore.registry.confluent import BASIC, Confluent
from tests.eventstore.registry.serving import served


class Placed(Event, name="order.placed"):
    order_id: str


class Paid(Event, name="order.paid"):
    order_id: str
    cents: int = 0


class PaidWrongly(Event, name="order.paid"):
    order_id: str
    cents: str


@pytest.fixture
def confluent() -> Confluent:
    """A registry of others."""
    return Confluent()


@pytest.fixture
def url(confluent: Confluent) -> Generator[str]:
    """Its URL."""
    with served(confluent) as found:
        yield found


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SAGALOG_REGISTRY", "SAGALOG_REGISTRY_AUTH", "SAGALOG_REGISTRY_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("kind", ["avro", "json"])
def test_one_process_reads_what_another_wrote(url: str, kind: Any) -> None:
    """They agree on ids by the server alone; each asks for a schema once."""
    with HttpRegistry(url) as one, HttpRegistry(url) as other:
        data = Serde(one, [Placed, Paid], format=kind).encode(Paid(order_id="1", cents=7))

        assert Serde(other, [Paid], format=kind).decode(data) == Paid(order_id="1", cents=7)


def test_what_is_there_is_looked_up_and_not_registered(url: str, confluent: Confluent) -> None:
    """E5: read first. And what was asked once is not asked again."""
    with HttpRegistry(url) as first:
        Serde(first, [Placed])
    confluent.requests.clear()

    with HttpRegistry(url) as registry:
        data = Serde(registry, [Placed]).encode(Placed(order_id="1"))
        for _ in range(3):
            Serde(registry, [Placed]).decode(data)

    assert confluent.requests == ["POST /subjects/order.placed"]


def test_subjects_versions_and_modes_are_read(url: str, confluent: Confluent) -> None:
    """As the command line needs them; modes are set there too."""
    with HttpRegistry(url) as registry:
        Serde(registry, [Placed, Paid])
        registry.set_mode("order.paid", "full_transitive")

        assert registry.subjects() == ["order.paid", "order.placed"]
        [placed] = registry.versions("order.placed")
        assert (placed.id, placed.number, placed.schema.type_name) == (1, 1, ("order.placed", 1))
        assert registry.versions("nothing") == []
        assert (registry.mode("order.paid"), registry.mode()) == ("full_transitive", "backward")
        registry.set_mode("order.paid", None)
        assert confluent.registry.mode("order.paid") == "backward"


def test_what_the_server_forbids_is_incompatible(url: str) -> None:
    """With the server's words."""
    with HttpRegistry(url) as registry:
        Serde(registry, [Paid])

        with pytest.raises(Incompatible, match=r"order\.paid version 1 is not backward-compatible.*cents was long"):
            Serde(registry, [PaidWrongly])


def test_an_id_that_the_server_lacks_is_unknown(url: str) -> None:
    """As with any registry."""
    with HttpRegistry(url) as registry, pytest.raises(UnknownSchema, match="no schema 77"):
        Serde(registry).decode(header_of(77))


@pytest.mark.parametrize("how", ["url", "environment"])
def test_basic_credentials_are_sent(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the URL, quoted, or from the environment; errors do not show them."""
    with served(Confluent(authorization=BASIC)) as url:
        given = url.replace("://", "://shop:s3cret%40x@") if how == "url" else url
        if how == "environment":
            monkeypatch.setenv("SAGALOG_REGISTRY_AUTH", "shop:s3cret@x")

        with HttpRegistry(given) as registry:
            assert registry.subjects() == []
            assert "s3cret" not in registry.url


def test_a_bearer_token_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment."""
    monkeypatch.setenv("SAGALOG_REGISTRY_TOKEN", "abc")
    with served(Confluent(authorization="Bearer abc")) as url, open_registry(None, url) as registry:
        assert registry.subjects() == []


def test_white_space_around_a_token_is_not_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files with secrets end with a line break."""
    monkeypatch.setenv("SAGALOG_REGISTRY_TOKEN", " abc\r\n")
    with served(Confluent(authorization="Bearer abc")) as url, HttpRegistry(url) as registry:
        assert registry.subjects() == []


@pytest.mark.parametrize("token", ["s3c\nret", "s3crét", "s3c\x07ret"])
def test_a_token_that_is_no_header_value_is_refused_unseen(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, before anything is asked."""
    monkeypatch.setenv("SAGALOG_REGISTRY_TOKEN", token)

    with pytest.raises(RegistryTokenInvalid, match="SAGALOG_REGISTRY_TOKEN is no bearer token") as refused:
        HttpRegistry("http://127.0.0.1:1")
    assert "s3c" not in str(refused.value)


def test_wrong_credentials_are_refused_by_name() -> None:
    """At once, and without showing them."""
    with (
        served(Confluent(authorization=BASIC)) as url,
        HttpRegistry(url.replace("://", "://shop:guess@")) as registry,
        pytest.raises(RegistryRefused, match=r"status 401: who are you\?: check the credentials") as refused,
    ):
        registry.subjects()
    assert "guess" not in str(refused.value)


def test_a_busy_server_is_asked_again(url: str, confluent: Confluent) -> None:
    """429 and 5xx pass."""
    confluent.failures += [429, 503]

    with HttpRegistry(url) as registry:
        assert registry.subjects() == []

    assert confluent.requests == ["GET /subjects"] * 3


def test_retries_are_logged_with_the_registry_and_no_secrets(confluent: Confluent) -> None:
    """Whoever reads the log knows which one is busy."""
    confluent.failures += [503]

    with (
        served(confluent) as url,
        capture_logs() as logged,
        HttpRegistry(url.replace("://", "://user:s3cret@")) as registry,
    ):
        registry.subjects()

    said = {"registry": url, "attempt": 1, "why": "status 503: not now"}
    assert logged == [{"event": "registry_asked_again", "log_level": "warning", **said}]


def test_a_server_that_stays_away_is_named() -> None:
    """With its URL, and that trying again may help."""
    with (
        HttpRegistry("http://user:secret@127.0.0.1:1", patience_seconds=0.5) as registry,
        pytest.raises(
            RegistryUnreachable, match=r"at http://127\.0\.0\.1:1 cannot be reached: \w+ refused"
        ) as unreachable,
    ):
        registry.subjects()
    assert unreachable.value.is_retryable


def test_a_server_that_keeps_failing_is_named(url: str, confluent: Confluent) -> None:
    """With what it said last."""
    confluent.failures += [500] * 50

    with (
        HttpRegistry(url, patience_seconds=0.5) as registry,
        pytest.raises(RegistryUnreachable, match="status 500: not now"),
    ):
        registry.subjects()


@pytest.mark.parametrize(
    "url",
    ["foo", "registry.example:8081", "http://127.0.0.1:abc", "http://127.0.0.1:99999", "http://[::1", "http://a\nb"],
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    """It names what was given, and says what one looks like."""
    with pytest.raises(RegistryUrlInvalid, match=r"give http://host:port or https://host, such as") as refused:
        HttpRegistry(url)
    assert repr(url) in str(refused.value)


def test_a_url_that_is_none_shows_no_password() -> None:
    """Nor the user."""
    with pytest.raises(RegistryUrlInvalid, match="'host:abc' is no URL") as refused:
        HttpRegistry("http://user:s3cret@host:abc")
    assert "s3cret" not in str(refused.value)


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, "httpx2", None)

    with pytest.raises(RegistryExtraMissing, match=r"pip install 'sagalog\[registry\]'"):
        HttpRegistry("http://127.0.0.1:1")


def test_the_environment_chooses_the_registry(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, the registry is in the log."""
    log = open_log("memory://")
    assert isinstance(open_registry(log), TopicRegistry)

    monkeypatch.setenv("SAGALOG_REGISTRY", url)

    with open_registry(log) as registry:
        assert isinstance(registry, HttpRegistry)


def test_our_registry_is_read_by_our_client() -> None:
    """`sagalog schemas serve` is a registry to read from; it registers nothing."""
    log = open_log("memory://")
    topic = TopicRegistry(log)
    data = Serde(topic, [Placed]).encode(Placed(order_id="1"))
    with served(application(TopicRegistry(log))) as url, HttpRegistry(url) as registry:
        assert Serde(registry, [Placed]).decode(data) == Placed(order_id="1")
        assert registry.mode("order.placed") == "backward_transitive"

        with pytest.raises(RegistryRefused, match=r"status 422: Subject 'order\.paid' is in read-only mode"):
            Serde(registry, [Paid])
        topic.set_mode("order.placed", "full")
        assert registry.mode("order.placed") == "full"
    log.close()
