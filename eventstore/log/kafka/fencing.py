"""Open a producer under a transactional id.

When it is open, earlier ones of the id are fenced and their open unit is aborted.
"""

from __future__ import annotations

import time
from functools import partial

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Producer as Client

from eventstore.log.errors import BrokerUnreachable, Fenced, LogError, NotAuthorized
from eventstore.log.kafka.bounded import BoundedCalls
from eventstore.log.kafka.diagnostics import Diagnostics, serve
from eventstore.log.kafka.errors import FENCED, UNAUTHORIZED, UNREACHABLE, cause_of, error_of, general
from eventstore.log.kafka.settings import Settings


def open_client(settings: Settings, transactional_id: str, diagnostics: Diagnostics, calls: BoundedCalls) -> Client:
    """A client that owns the id.

    The broker is asked for something else first: without a connection librdkafka looks again only after 500 ms.

    Raises:
        BrokerUnreachable: it did not give out the id in time.
        NotAuthorized: it may not.
        Fenced: somebody else took the id meanwhile.
    """
    config = settings.transactor(transactional_id) | {"error_cb": diagnostics.error}
    client = Client(config, logger=diagnostics)
    deadline = time.monotonic() + settings.api_timeout
    while True:
        try:
            client.list_topics(timeout=max(deadline - time.monotonic(), 0.1))
            left = max(deadline - time.monotonic(), 0.1)
            calls.run(partial(client.init_transactions, left), left)
            serve(client)
            return client
        except TimeoutError:
            why = f"it did not give out the transactional id {transactional_id!r}"
            raise BrokerUnreachable(settings.address, why) from None
        except KafkaException as raised:
            serve(client)
            error = error_of(raised)
            if error.retriable() and not error.fatal() and time.monotonic() < deadline:
                continue
            refused = _refused(error, settings.address, transactional_id, diagnostics)
            raise refused from cause_of(refused, raised)


def _refused(error: KafkaError, address: str, transactional_id: str, diagnostics: Diagnostics) -> LogError:
    cause = diagnostics.last_error
    if error.code() in FENCED:
        return Fenced(transactional_id)
    if cause is not None and cause.code() in UNAUTHORIZED:
        error = cause
    if error.code() in UNAUTHORIZED:
        return NotAuthorized(f"use the transactional id {transactional_id!r}", error.str())
    if error.retriable() or error.code() in UNREACHABLE:
        return BrokerUnreachable(address, diagnostics.why(error.str()))
    return general(error, what=f"take over {transactional_id!r}", address=address)
