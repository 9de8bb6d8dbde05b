"""Which of the port's errors stands for which of librdkafka's (K6)."""

from __future__ import annotations

import pytest
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
from eventstore.log.kafka.errors import error_of, general, of_delivery, of_unit


def abortable(code: int) -> KafkaError:
    """An error after which a transaction can be aborted."""
    return KafkaError(code, "why", False, False, True)


def fatal(code: int) -> KafkaError:
    """An error that ends the producer."""
    return KafkaError(code, "why", True, False, False)


def retriable(code: int) -> KafkaError:
    """An error after which the call may be repeated."""
    return KafkaError(code, "why", False, True, False)


@pytest.mark.parametrize(
    ("error", "ending", "lost", "expected"),
    [
        (abortable(KafkaError.ILLEGAL_GENERATION), False, False, StaleMember),
        (abortable(KafkaError.UNKNOWN_MEMBER_ID), False, True, StaleMember),
        (abortable(KafkaError.FENCED_INSTANCE_ID), True, False, StaleMember),
        (abortable(KafkaError.INVALID_RECORD), True, False, DataRefused),
        (abortable(KafkaError.MSG_SIZE_TOO_LARGE), True, False, DataRefused),
        (abortable(KafkaError.INVALID_RECORD), True, True, OutcomeUnknown),
        (abortable(KafkaError.TOPIC_AUTHORIZATION_FAILED), True, False, NotAuthorized),
        (abortable(KafkaError.GROUP_AUTHORIZATION_FAILED), False, False, NotAuthorized),
        (fatal(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED), False, False, NotAuthorized),
        (abortable(KafkaError.UNKNOWN_PRODUCER_ID), False, False, TransactionAborted),
        (abortable(KafkaError.UNKNOWN_PRODUCER_ID), True, False, OutcomeUnknown),
        (abortable(KafkaError._TRANSPORT), True, False, OutcomeUnknown),
        (fatal(KafkaError._FENCED), True, False, Fenced),
        (fatal(KafkaError.PRODUCER_FENCED), False, True, Fenced),
        (fatal(KafkaError.INVALID_PRODUCER_EPOCH), True, False, Fenced),
        (fatal(KafkaError._FENCED), True, True, OutcomeUnknown),
        (fatal(KafkaError.INVALID_TXN_STATE), False, False, OutcomeUnknown),
        (retriable(KafkaError._TIMED_OUT), False, True, TransactionAborted),
        (retriable(KafkaError._TIMED_OUT), True, False, OutcomeUnknown),
        (KafkaError(KafkaError._STATE, "why"), True, False, OutcomeUnknown),
    ],
)
def test_how_a_unit_that_failed_ended(error: KafkaError, ending: bool, lost: bool, expected: type[LogError]) -> None:
    """What came before the end was asked for did not happen; all else is ambiguous (K6)."""
    failure = of_unit(error, "orders.0", ending=ending, lost=lost)

    assert type(failure) is expected
    assert "why" in str(failure) or "orders.0" in str(failure)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (KafkaError.MSG_SIZE_TOO_LARGE, MessageTooLarge),
        (KafkaError.INVALID_RECORD, InvalidRecord),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, NotAuthorized),
        (KafkaError._UNKNOWN_PARTITION, TopicMissing),
        (KafkaError._MSG_TIMED_OUT, OutcomeUnknown),
    ],
)
def test_how_a_record_that_failed_ended(code: int, expected: type[LogError]) -> None:
    """A record that timed out may be in the log; the other failures say that it is not."""
    failure = of_delivery(KafkaError(code, "why"), topic="orders", partition=1, size_bytes=7, limit_bytes=5)

    assert type(failure) is expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (KafkaError._ALL_BROKERS_DOWN, BrokerUnreachable),
        (KafkaError._TIMED_OUT, BrokerUnreachable),
        (KafkaError._DESTROY_BROKER, BrokerUnreachable),
        (KafkaError._AUTHENTICATION, NotAuthorized),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, TopicMissing),
        (KafkaError.INVALID_REPLICATION_FACTOR, LogError),
    ],
)
def test_how_a_call_failed(code: int, expected: type[LogError]) -> None:
    """Each failure of a call has a name of its own, or says what was tried."""
    failure = general(KafkaError(code, "why"), what="describe topics", address="host:1", topic="orders")

    assert type(failure) is expected


def test_an_exception_without_an_error_is_mapped_too() -> None:
    """Nothing of the engine leaks, whatever it raises."""
    assert error_of(KafkaException("odd")).str() == "odd"
