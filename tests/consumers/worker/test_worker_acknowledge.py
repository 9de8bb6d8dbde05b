"""Out-of-order acknowledgement and its map (rule W4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.acknowledge import METADATA_LIMIT, Acknowledgements, decode, encode
from consumers.errors import BadAcknowledgement
from eventstore.log.records import Position


def test_the_lowest_incomplete_record_is_the_position() -> None:
    """Of 10, 11, 12 with 10 and 12 complete, the position is 11 and the map says 12 is complete."""
    acks = Acknowledgements(Position(10))
    for offset in (10, 11, 12):
        acks.delivered(offset)

    acks.completed(12)
    acks.completed(10)

    assert acks.position() == Position(11, "1;2;0")


def test_everything_complete_needs_no_map() -> None:
    """When nothing is incomplete, the position is the next offset and carries nothing."""
    acks = Acknowledgements(Position(5))
    acks.delivered(5)
    acks.passed(6)
    acks.completed(5)

    assert acks.position() == Position(7)


def test_a_successor_skips_what_was_completed() -> None:
    """W4: a successor runs the incomplete records again and no other."""
    acks = Acknowledgements(Position(0))
    for offset in range(100):
        acks.delivered(offset)
    for offset in range(100):
        if offset % 7:
            acks.completed(offset)

    successor = Acknowledgements(acks.position())

    assert [offset for offset in range(101) if not successor.is_complete(offset)] == [*range(0, 100, 7), 100]


def test_a_successor_of_a_successor_still_knows() -> None:
    """W4: a map that was restored and not yet worked through is carried on, less what was completed since."""
    first = Acknowledgements(Position(0))
    for offset in range(10):
        first.delivered(offset)
    for offset in (1, 2, 3, 5, 6, 8):
        first.completed(offset)
    second = Acknowledgements(first.position())

    second.delivered(0)
    second.passed(1)
    second.completed(0)
    third = Acknowledgements(second.position())

    assert second.position().offset == 2
    assert [offset for offset in range(2, 11) if not third.is_complete(offset)] == [4, 7, 9, 10]


def test_a_record_that_vanished_holds_nothing_up() -> None:
    """A record that a predecessor left incomplete and compaction removed does not stop the position."""
    acks = Acknowledgements(Position(0, encode(5, [0, 3])))

    acks.delivered(4)
    acks.completed(4)

    assert acks.position() == Position(5)


@given(st.sets(st.integers(0, 60_000), max_size=6_000), st.integers(0, 1_000))
def test_a_map_fits_and_never_hides_what_is_incomplete(incomplete: set[int], beyond: int) -> None:
    """W4: at most 4,096 ASCII characters, and no incomplete record is taken as complete, however many there are."""
    ordered = sorted(incomplete)
    span = (ordered[-1] + 1 if ordered else 0) + beyond

    text = encode(span, ordered)
    known, restored = decode(text)

    assert len(text) <= METADATA_LIMIT
    assert text.isascii()
    assert text.startswith("1;")
    assert restored == [distance for distance in ordered if distance < known]
    assert known == span or len(text) > METADATA_LIMIT - 20


@pytest.mark.parametrize("text", ["hello", "2;a;0", "1;", "1;x;-", "1;a;0;0"])
def test_metadata_of_others_is_refused_by_name(text: str) -> None:
    """A position with metadata that no worker wrote is a named error, not a guess."""
    with pytest.raises(BadAcknowledgement, match="no worker of this version"):
        decode(text)
