"""Which partition a key belongs to: murmur2, as Java's default partitioner does it, equal on all engines.

`partition = (murmur2(key) & 0x7fffffff) % partitions`. librdkafka's own default (CRC32) differs, so every record of
ours names its partition.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995
_SEED = 0x9747B28C


def murmur2(data: bytes) -> int:
    """MurmurHash2, 32 bits unsigned, with the seed of Kafka's Java client (org.apache.kafka.common.utils.Utils)."""
    h = _SEED ^ len(data)
    whole = len(data) & ~3
    for i in range(0, whole, 4):
        k = (int.from_bytes(data[i : i + 4], "little") * _M) & _MASK
        h = ((h * _M) & _MASK) ^ (((k ^ (k >> 24)) * _M) & _MASK)
    if whole < len(data):
        h = ((h ^ int.from_bytes(data[whole:], "little")) * _M) & _MASK
    h = ((h ^ (h >> 13)) * _M) & _MASK
    return h ^ (h >> 15)


@cache
def _native() -> Callable[[bytes, int], int]:
    """librdkafka's own, seven times as fast; imported when it is first needed, because that takes a while."""
    from confluent_kafka import murmur2 as native

    return native


def partition_of(key: bytes | str, partitions: int) -> int:
    """The partition of a key, text as UTF-8, in a topic of so many partitions.

    Raises:
        ValueError: `partitions` is not positive.
    """
    if partitions < 1:
        raise ValueError(f"a topic has at least one partition, not {partitions}")
    return _native()(key.encode() if isinstance(key, str) else key, partitions)
