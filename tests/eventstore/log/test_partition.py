"""Keys go to the same partitions as Java's and librdkafka's murmur2."""

from __future__ import annotations

import confluent_kafka
import pytest
from hypothesis import given
from hypothesis import strategies as some

from eventstore.log import partition_of


@given(some.binary(max_size=200), some.integers(1, 1_000))
def test_partition_is_librdkafkas_murmur2(key: bytes, partitions: int) -> None:
    """For any key and count, ours is what librdkafka's `murmur2` partitioner computes."""
    assert partition_of(key, partitions) == confluent_kafka.murmur2(key, partitions)


@given(some.text(max_size=50))
def test_text_is_utf_8(key: str) -> None:
    """A text key and its bytes are the same key."""
    assert partition_of(key, 7) == partition_of(key.encode(), 7)


def test_topic_without_partitions_is_an_error() -> None:
    """There is no partition of nothing."""
    with pytest.raises(ValueError, match="at least one"):
        partition_of(b"k", 0)
