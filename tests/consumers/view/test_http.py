"""The HTTP endpoint of a process."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families

from consumers.http import Endpoint


class Fake:
    """A process as the endpoint sees it."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}
        self.stopped: dict[str, str] = {}

    def not_ready(self) -> Mapping[str, str]:
        return self.reasons

    def metrics(self) -> Mapping[str, Mapping[str, float]]:
        return {
            "mailer": {
                'jobs_failed_by_type_total{type="order.placed"}': 3.0,
                'job_duration_seconds_bucket{le="0.5"}': 1.0,
                'job_duration_seconds_bucket{le="+Inf"}': 2.0,
                "job_duration_seconds_sum": 1.5,
                "job_duration_seconds_count": 2.0,
            },
            'to"tals': {"queue_length": 17.0, "view_events_total": 5.0},
        }

    def problems(self) -> Mapping[str, str]:
        return self.stopped

    def serve(self, view: str, body: bytes) -> bytes:
        if body == b"bad":
            raise ValueError("no question")
        return view.encode() + body


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """Listens on any free port."""
    made = Endpoint()
    yield made
    made.close()


@pytest.fixture
def get(endpoint: Endpoint) -> Callable[..., tuple[int, bytes]]:
    """Requests a path; with a body, by POST."""

    def request(path: str, body: bytes | None = None) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://{endpoint.address}{path}", body, timeout=5) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    return request


Get = Callable[..., tuple[int, bytes]]


def test_alive_from_the_start_and_ready_when_everything_is(endpoint: Endpoint, get: Get) -> None:
    """503 with reasons until then."""
    fake = Fake()
    assert get("/live")[0] == 200
    assert get("/ready")[0] == 503

    fake.reasons = {"totals.v1": "taking partitions"}
    endpoint.serve(fake, fake)
    status, body = get("/ready")
    assert (status, json.loads(body)["reasons"]) == (503, {"totals.v1": "taking partitions"})

    fake.reasons = {}
    assert get("/ready")[0] == 200
    fake.stopped = {"totals.v1": "stopped"}
    assert get("/ready")[0] == 503


def test_metrics_are_what_prometheus_parses(endpoint: Endpoint, get: Get) -> None:
    """Counters, gauges and histograms, with the component as a label."""
    endpoint.serve(Fake(), Fake())

    families = {family.name: family for family in text_string_to_metric_families(get("/metrics")[1].decode())}

    assert families["queue_length"].samples[0].labels == {"component": 'to"tals'}
    assert families["view_events"].type == "counter"
    assert families["job_duration_seconds"].type == "histogram"
    assert families["jobs_failed_by_type"].samples[0].labels == {"component": "mailer", "type": "order.placed"}


def test_tables_are_served_and_bad_questions_refused(endpoint: Endpoint, get: Get) -> None:
    """What is no question of a known version gets 400 and the reason."""
    endpoint.serve(Fake(), Fake())

    assert get("/tables/totals/by_order", b"?") == (200, b"totals?")
    assert get("/tables/totals/by_order", b"bad") == (400, b"no question\n")
    assert get("/elsewhere")[0] == 404


@pytest.mark.parametrize("bind", ["8080", "localhost:", "localhost:http"])
def test_a_wrong_address_is_named(bind: str) -> None:
    """host:port, with a number."""
    with pytest.raises(ValueError, match="host:port"):
        Endpoint(bind)
