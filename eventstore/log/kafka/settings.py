"""What a `kafka://` URL says: the address, options of ours, and options that go through to librdkafka.

Ours:

- `partitions`: count of a topic that is created without one; default 4.
- `replication`: copies of each partition of topics that are created; default 3, or the number of brokers if that is
less.
- `message_max_bytes`: largest record (key, value and headers); default 1,000,000.
- `api_timeout`: seconds after which a broker that does not answer is an error; default 10.

Any other option is librdkafka's, such as `security.protocol` or `sasl.username`. Those on which guarantees rest are
ours to set, and refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TypeAlias

from confluent_kafka import KafkaException, Producer

from eventstore.log.errors import BadLogUrl
from eventstore.log.kafka.diagnostics import Diagnostics

Value: TypeAlias = str | int | float | bool
Config: TypeAlias = dict[str, Value]

OVERHEAD_BYTES = 16_384
"""Room for what the protocol adds to the largest record."""
DEFAULT_MESSAGE_MAX_BYTES = 1_000_000
TRANSACTION_TIMEOUT_MS = 10_000
FETCH_WAIT_MS = 50
"""A partition that starts joins the next fetch."""
HEARTBEAT_MS = 500
"""A member learns of a rebalance at its next heartbeat, and a cooperative one takes two rounds."""
OURS = ("partitions", "replication", "message_max_bytes", "api_timeout")
RESERVED = frozenset(
    {
        "bootstrap.servers",
        "metadata.broker.list",
        "group.id",
        "group.instance.id",
        "transactional.id",
        "enable.idempotence",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "auto.offset.reset",
        "isolation.level",
        "acks",
        "request.required.acks",
        "enable.partition.eof",
        "message.max.bytes",
        "partitioner",
        "partition.assignment.strategy",
        "session.timeout.ms",
        "transaction.timeout.ms",
        "debug",
        "log.queue",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A parsed and checked URL."""

    address: str
    partitions: int = 4
    replication: int | None = None
    message_max_bytes: int = DEFAULT_MESSAGE_MAX_BYTES
    api_timeout: float = 10.0
    passed: Config = field(default_factory=dict[str, Value], repr=False)
    """Options for librdkafka; may hold secrets."""

    @property
    def url(self) -> str:
        """The URL without its options, which may hold secrets."""
        return f"kafka://{self.address}"

    @property
    def fetch_wait(self) -> float:
        """How long a broker holds back the answer to a fetch if there is nothing, in seconds."""
        return float(self.passed.get("fetch.wait.max.ms", FETCH_WAIT_MS)) / 1000

    def admin(self) -> Config:
        return self._common() | {"socket.timeout.ms": self._api_timeout_ms()} | self.passed

    def producer(self) -> Config:
        return (
            self._writing()
            | {"linger.ms": 0.5, "message.timeout.ms": 30_000, "socket.timeout.ms": self._api_timeout_ms()}
            | self.passed
        )

    def transactor(self, transactional_id: str) -> Config:
        """`retry.backoff.ms` 1: a unit that follows another closely is retried after it, 100 ms by default.

        `linger.ms` 0.1: records are on their way while the positions are sent, instead of when the unit ends. Those of
        a unit are handed over at once and wait for the coordinator together, so they leave in few batches all the same.
        """
        return (
            self._writing()
            | {
                "transactional.id": transactional_id,
                "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
                "retry.backoff.ms": 1,
                "retry.backoff.max.ms": 50,
                "linger.ms": 0.1,
            }
            | self.passed
            | {"debug": "broker"}
        )

    def group(self, group: str, session_ms: int) -> Config:
        classic: Config = {
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": session_ms,
            "heartbeat.interval.ms": min(session_ms // 4, HEARTBEAT_MS),
        }
        return (
            self._reading()
            | {
                "group.id": group,
                "max.poll.interval.ms": max(60_000, session_ms),
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
            }
            | ({} if str(self.passed.get("group.protocol", "classic")).lower() == "consumer" else classic)
            | self.passed
        )

    def reader(self, isolation: str) -> Config:
        return (
            self._reading()
            | {"group.id": "sagalog.reader", "isolation.level": f"read_{isolation}", "enable.partition.eof": True}
            | {name: value for name, value in self.passed.items() if name != "group.protocol"}
        )

    def _api_timeout_ms(self) -> int:
        return max(1_000, int(self.api_timeout * 1000))

    def _common(self) -> Config:
        return {
            "bootstrap.servers": self.address,
            "client.id": "sagalog",
            "enable.metrics.push": False,
            "socket.nagle.disable": True,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 1_000,
            "topic.metadata.propagation.max.ms": 2_000,
        }

    def _writing(self) -> Config:
        return self._common() | {
            "enable.idempotence": True,
            "acks": "all",
            "message.max.bytes": self.message_max_bytes + OVERHEAD_BYTES,
            "queue.buffering.max.messages": 1_000_000,
        }

    def _reading(self) -> Config:
        """Small waits, because a partition that starts joins the next fetch, not the one under way."""
        return self._common() | {
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": FETCH_WAIT_MS,
            "fetch.queue.backoff.ms": 5,
            "fetch.error.backoff.ms": 50,
            "queued.min.messages": 200_000,
            "retry.backoff.ms": 10,
            "retry.backoff.max.ms": 100,
            "socket.timeout.ms": self._api_timeout_ms(),
        }


def parse(address: str, options: Mapping[str, str]) -> Settings:
    """Check address and options of a `kafka://` URL.

    Raises:
        BadLogUrl: no address, or an option that is unknown, ours to set, or of a wrong value.
    """
    url = f"kafka://{address}"
    if not address:
        raise BadLogUrl(url, "it names no broker")
    for broker in address.split(","):
        host, colon, port = broker.rpartition(":")
        if not (host and port.isdecimal() if colon else port):
            raise BadLogUrl(url, f"{broker!r} is no host:port")
    passed = {name: value for name, value in options.items() if name not in OURS}
    for name in passed:
        if name in RESERVED:
            raise BadLogUrl(url, f"the option {name} is not yours to set: the guarantees rest on it")
    settings = Settings(
        address=address,
        partitions=_whole(url, options, "partitions", 4),
        replication=_whole(url, options, "replication", 0) or None,
        message_max_bytes=_whole(url, options, "message_max_bytes", DEFAULT_MESSAGE_MAX_BYTES),
        api_timeout=_seconds(url, options, "api_timeout", 10.0),
        passed={**passed},
    )
    _try(settings)
    return settings


def _whole(url: str, options: Mapping[str, str], name: str, default: int) -> int:
    if name not in options:
        return default
    text = options[name]
    if not text.isdecimal() or int(text) < 1:
        raise BadLogUrl(url, f"{name} is a whole number from 1, not {text!r}")
    return int(text)


def _seconds(url: str, options: Mapping[str, str], name: str, default: float) -> float:
    text = options.get(name, str(default))
    try:
        seconds = float(text)
    except ValueError:
        raise BadLogUrl(url, f"{name} is a number of seconds, not {text!r}") from None
    if not 0 < seconds < float("inf"):
        raise BadLogUrl(url, f"{name} is a number of seconds above 0, not {text!r}")
    return seconds


def _try(settings: Settings) -> None:
    """Let librdkafka judge its options, without a broker."""
    try:
        Producer(settings.passed, logger=Diagnostics("options"))
    except (KafkaException, ValueError, TypeError) as error:
        raise BadLogUrl(settings.url, _why(error, settings.passed)) from None


def _why(error: Exception, passed: Config) -> str:
    reason = error.args[0].str() if isinstance(error, KafkaException) else str(error)
    if "No such configuration property" not in reason:
        return reason
    name = next((name for name in passed if f'"{name}"' in reason), "")
    near = get_close_matches(name, OURS, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"there is no option {name!r}{hint} (ours: {', '.join(OURS)}; all others are librdkafka's)"
