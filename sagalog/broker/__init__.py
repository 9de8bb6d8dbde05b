"""Provide Apache Kafka where there is none: `with broker() as cluster: cluster.bootstrap`.

Takes KAFKA_BOOTSTRAP if it is set, Docker if an engine answers, else runs Kafka on a local JVM with pinned jars.
For development and tests; this is not how to run Kafka in production.
"""

from sagalog.broker.cluster import Cluster
from sagalog.broker.errors import (
    BrokerError,
    BrokerExtraMissing,
    BrokerNotStarted,
    JarRejected,
    JavaMissing,
    NotOurBroker,
)
from sagalog.broker.jars import KAFKA_VERSION
from sagalog.broker.provide import Provider, broker

__all__ = [
    "KAFKA_VERSION",
    "BrokerError",
    "BrokerExtraMissing",
    "BrokerNotStarted",
    "Cluster",
    "JarRejected",
    "JavaMissing",
    "NotOurBroker",
    "Provider",
    "broker",
]
