"""Listen to a librdkafka client: its log lines, its errors, and above all its lost connections.

librdkafka suppresses an error event that equals the last one for 30 seconds, so a connection that is lost twice is
announced once. The state changes that `debug=broker` logs are never suppressed; they are what is counted, but for
the bootstrap connection: librdkafka gives it up once it knows the brokers, and no unit depends on it.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

_LOST = "Broker changed state UP -> DOWN"
_BOOTSTRAP = "/bootstrap: "
_NOISE = ("CONFWARN", "GETPID", "TERMINATE")
_RAISED = ("ADDPARTS", "TXNERR", "FATAL")
"""What the call that it concerns raises too. Two processes that start together meet these, and go on."""
_QUIET_SECONDS = 30.0

log = structlog.get_logger("eventstore.log.kafka")


class Diagnostics:
    """Given to a client as its `logger` and `error_cb`; both are called inside the client's `poll` and `flush`."""

    def __init__(self, client: str) -> None:
        self.client = client
        self.lost_connections = 0
        self.last_error: KafkaError | None = None
        self._told: dict[str, float] = {}

    def log(self, level: int, template: str, *arguments: object) -> None:
        """Take a log line, as `logging.Logger.log` would. Warnings of one kind are passed on once in 30 seconds.

        Those that become an error of ours are for whoever wants to know more.
        """
        line = template % arguments if arguments else template
        if _LOST in line and _BOOTSTRAP not in line:
            self.lost_connections += 1
        if level >= logging.WARNING and not line.startswith(_NOISE):
            self._tell(line)

    def error(self, error: KafkaError) -> None:
        """Take an error event. That all brokers are down says less than why, so it does not replace an earlier one."""
        if self.last_error is None or error.code() != KafkaError._ALL_BROKERS_DOWN:
            self.last_error = error

    def why(self, default: str) -> str:
        """The last error, for an error message."""
        return self.last_error.str() if self.last_error is not None else default

    def _tell(self, line: str) -> None:
        kind, now = line.partition(" ")[0], time.monotonic()
        if now - self._told.get(kind, -_QUIET_SECONDS) >= _QUIET_SECONDS:
            self._told[kind] = now
            tell = log.debug if kind in _RAISED else log.warning
            tell("kafka_client", client=self.client, line=line)


def serve(client: Producer, timeout: float = 0.0) -> None:
    """Call the callbacks that are due. A fatal error, which polling raises too, shows at the call that it concerns."""
    with suppress(KafkaException):
        client.poll(timeout)
