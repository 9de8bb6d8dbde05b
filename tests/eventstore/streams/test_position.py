"""Positions: how far a store was read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.streams import Position, check_stream_id

offsets = st.dictionaries(st.integers(0, 20), st.integers(0, 1_000_000))
positions = st.builds(Position.of, offsets, st.sampled_from(["", "4f1c"]))


@given(positions)
def test_a_position_survives_being_printed(position: Position) -> None:
    """What str gives, parse takes back."""
    assert Position.parse(str(position)) == position


def test_the_printable_form_begins_with_its_version() -> None:
    """The form is stored by others, so it is fixed."""
    assert str(Position.of({1: 7, 0: 12}, "4f1c")) == "2:4f1c:0=12,1=7"
    assert str(Position()) == "2::"


@pytest.mark.parametrize(
    "text", ["", "0=12", "1:0=12", "3::0=12", "2:0=12", "2::0", "2::0=x", "2::-1=3", "2::0=1=2", "2::0=²"]
)
def test_what_is_no_position_is_refused_by_its_text(text: str) -> None:
    """The error repeats what was given."""
    with pytest.raises(ValueError, match="is no position"):
        Position.parse(text)


@given(positions, positions)
def test_a_union_covers_both_and_no_more(one: Position, other: Position) -> None:
    """It is the least position that is after both."""
    both = one | other

    assert both.covers(one)
    assert both.covers(other)
    assert set(both.offsets) <= set(one.offsets) | set(other.offsets)


def test_positions_of_different_partitions_do_not_cover_each_other() -> None:
    """A partition that is not named was not read."""
    assert not Position.at(0, 1).covers(Position.at(1, 1))
    assert Position.at(0, 1).covers(Position())
    assert Position.at(0, 1).offset(1) == 0


def test_positions_of_different_generations_cannot_be_compared() -> None:
    """The same offsets mean other events in a topic that was made again."""
    before, after = Position.at(0, 1, "before"), Position.at(0, 1, "after")

    assert not before.covers(after)
    with pytest.raises(ValueError, match="different generations"):
        _ = before | after
    assert (before | Position.at(1, 1)).generation == "before"


def test_positions_are_dictionary_keys() -> None:
    """Equal positions hash alike, in whatever order their partitions came."""
    assert {Position.of({0: 1, 1: 2}): "here"}[Position.of({1: 2, 0: 1})] == "here"


@pytest.mark.parametrize("stream", ["", "a\0b", "a" * 501, "é" * 251, "\ud800"])
def test_what_cannot_be_a_stream_id_is_refused(stream: str) -> None:
    """Empty, U+0000, more than 500 bytes, half a surrogate pair."""
    with pytest.raises(ValueError, match="stream id"):
        check_stream_id(stream)


@pytest.mark.parametrize("stream", ["a", "a/1/2", "é" * 250, " ", "🦭"])
def test_other_text_is_a_stream_id(stream: str) -> None:
    """Slashes and any alphabet are fine."""
    check_stream_id(stream)
