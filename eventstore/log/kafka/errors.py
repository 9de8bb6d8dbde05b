"""Say in the port's words what librdkafka reports. No exception of the engine leaves the port unmapped."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException

from eventstore.log.errors import (
    BrokerUnreachable,
    DataRefused,
    Fenced,
    InvalidRecord,
    LogError,
    MessageTooLarge,
    NotAuthorized,
    OutcomeUnknown,
    StaleMember,
    TopicMissing,
    TransactionAborted,
)

UNAUTHORIZED = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError._AUTHENTICATION,
    }
)
UNREACHABLE = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._WAIT_COORD,
        KafkaError._SSL,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError._DESTROY_BROKER,  # librdkafka gives up the address by which it asked when it learns the brokers
    }
)
MISSING = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})
FENCED = frozenset({KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH})
STALE = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError._ASSIGNMENT_LOST,
    }
)
OVERSIZE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
UNFIT = frozenset({KafkaError.INVALID_RECORD, KafkaError.INVALID_TIMESTAMP, KafkaError.INVALID_MSG})
CLOCK = (
    "its time is further from the broker's than message.timestamp.after.max.ms (1 hour) or "
    "message.timestamp.before.max.ms of the topic say: set this machine's clock"
)
OF_RECORDS = (
    OVERSIZE
    | UNFIT
    | MISSING
    | {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
        KafkaError._MSG_TIMED_OUT,
    }
)
"""A record was not taken."""
BEFORE_THE_END = OF_RECORDS | UNAUTHORIZED | STALE
"""Codes of an abortable failure that come from the unit's records or positions, so before its end was asked for."""


def error_of(raised: KafkaException) -> KafkaError:
    """The error that the exception carries."""
    error = raised.args[0] if raised.args else None
    return error if isinstance(error, KafkaError) else KafkaError(KafkaError._FAIL, str(raised))


def cause_of(error: LogError, raised: KafkaException) -> KafkaException | None:
    """What an error is chained to: nothing if it says all that the exception of the engine does."""
    return None if isinstance(error, BrokerUnreachable) else raised


def general(error: KafkaError, *, what: str, address: str, topic: str = "") -> LogError:
    """The port's error for a call that failed as a whole."""
    code = error.code()
    if code in UNAUTHORIZED:
        return NotAuthorized(what, error.str())
    if code in UNREACHABLE:
        return BrokerUnreachable(address, error.str())
    if code in MISSING and topic:
        return TopicMissing(topic)
    return LogError(f"could not {what}: {error.name()} ({error.str()})")


def of_delivery(error: KafkaError, *, topic: str, partition: int, size_bytes: int, limit_bytes: int) -> LogError:
    """The port's error for a record that was not acknowledged."""
    code = error.code()
    if code in OVERSIZE:
        return MessageTooLarge(topic, size_bytes=size_bytes, limit_bytes=limit_bytes)
    if code == KafkaError.INVALID_TIMESTAMP:
        return InvalidRecord(topic, f"{error.str()}; {CLOCK}")
    if code in UNFIT:
        return InvalidRecord(topic, f"{error.str()}; a compacted topic needs a key")
    if code in UNAUTHORIZED:
        return NotAuthorized(f"write to {topic}", error.str())
    if code in MISSING:
        return TopicMissing(topic)
    return OutcomeUnknown(
        f"a record for {topic}[{partition}] was not acknowledged ({error.str()}): read the log, or send again"
    )


def of_unit(error: KafkaError, transactional_id: str, *, ending: bool, lost: bool) -> LogError:
    """The port's error for a unit of work that failed (K6).

    Args:
        ending: the end of the unit may have been asked for already.
        lost: a connection was lost since the unit began.
    """
    if not (ending and lost):
        if error.code() in FENCED:
            return Fenced(transactional_id)
        if error.code() in UNAUTHORIZED:
            return NotAuthorized(f"write a unit as {transactional_id!r}", error.str())
        if error.txn_requires_abort() and (not ending or error.code() in BEFORE_THE_END):
            return _aborted(error)
        if not ending and not error.fatal():
            return _aborted(error)
    return unknown(transactional_id, f"{error.name()}, {error.str()}")


def unknown(transactional_id: str, why: str) -> OutcomeUnknown:
    """A unit that may or may not have happened."""
    return OutcomeUnknown(
        f"whether the unit of {transactional_id!r} happened is not known ({why}): "
        "open a new transactor under the same id, and ask the log"
    )


def _aborted(error: KafkaError) -> LogError:
    if error.code() in STALE:
        return StaleMember(f"the group moved on since the poll ({error.str()}): nothing happened, poll again")
    if error.code() == KafkaError.INVALID_TIMESTAMP:
        return DataRefused(f"{error.str()}; {CLOCK}")
    if error.code() in OVERSIZE | UNFIT:
        return DataRefused(error.str())
    return TransactionAborted(f"nothing of the unit happened ({error.name()}, {error.str()}): decide again")
