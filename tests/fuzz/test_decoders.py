"""No decoder fails by accident, whatever a disk or a network gives it: it reads the bytes, or raises an error of ours.

`make fuzz MINUTES=30` goes on for so long, with new examples each time; `make test` tries some. What fails is printed
with a `@reproduce_failure` line, and with the seed of its round.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.decoders import Decoder
from tests.fuzz.in_files import FILES
from tests.fuzz.in_records import RECORDS
from tests.fuzz.in_rows import ROWS
from tests.fuzz.in_schemas import SCHEMAS
from tests.fuzz.mutations import mangled
from tests.fuzz.on_sockets import SOCKETS

DECODERS = (*SCHEMAS, *RECORDS, *ROWS, *FILES, *SOCKETS)
MINUTES = float(os.environ.get("MINUTES", "0"))
EXAMPLES = 60
ROUND = 1_000
SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example)
PHASES = (Phase.explicit, Phase.generate, Phase.shrink)
named = pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.name)


@named
@pytest.mark.timeout(60 + MINUTES * 60)
def test_bytes_that_are_nearly_right_are_read_or_refused_by_name(decoder: Decoder) -> None:
    """Changed, cut and random bytes: no KeyError, no struct.error, no endless memory, and nothing that says nothing."""
    if not MINUTES:
        _round(decoder, EXAMPLES)()
        return
    end, examples = time.monotonic() + MINUTES * 60 / len(DECODERS), 0
    while time.monotonic() < end:
        number = random.SystemRandom().getrandbits(32)
        print(f"{decoder.name}: seed {number}")
        seed(number)(_round(decoder, ROUND))()
        examples += int(ROUND * decoder.weight)
    print(f"{decoder.name}: {examples:,} examples")


@named
def test_valid_bytes_are_read(decoder: Decoder) -> None:
    """Without this, a decoder that refuses everything would pass."""

    @settings(max_examples=20, database=None, deadline=None, phases=PHASES, suppress_health_check=SLOW)
    @given(decoder.valid)
    def try_on(data: bytes) -> None:
        assert decoder.try_on(data)

    try_on()


def test_every_decoder_has_its_own_name() -> None:
    """The name is what is printed."""
    assert len({decoder.name for decoder in DECODERS}) == len(DECODERS)


def _round(decoder: Decoder, examples: int) -> Callable[[], None]:
    count = max(1, int(examples * decoder.weight))

    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=SLOW,
        phases=PHASES,
    )
    @given(mangled(decoder.valid))
    def try_on(data: bytes) -> None:
        decoder.try_on(data)

    return try_on
