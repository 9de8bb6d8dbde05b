"""The header `meta`: complete, compact, versioned."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import Handled, Metadata, ReplyTo, Undecodable

texts = st.text(st.characters(codec="utf-8"), max_size=10)
handled = st.builds(
    Handled, step=st.integers(0, 2**62), input=texts, answer=st.none() | st.binary(max_size=20),
    timers=st.lists(st.tuples(texts, st.integers(0, 2**50), st.binary(max_size=9)), max_size=3),
    cancelled=st.lists(texts),
)  # fmt: skip
replies = st.builds(ReplyTo, texts, st.integers(0, 99), texts, texts)
metadata = st.builds(
    Metadata, id=texts, type=texts, correlation=texts, causation=texts, commit=texts, index=st.integers(0, 99),
    reply=st.none() | replies, attributes=st.dictionaries(texts, texts, max_size=3), done=st.none() | handled,
)  # fmt: skip


@given(metadata)
def test_everything_is_kept(given_: Metadata) -> None:
    """What is written is read equal."""
    assert Metadata.decode(given_.encode()) == given_


def test_the_version_comes_first_and_defaults_are_left_out() -> None:
    """Headers are small, and say first how they are to be read."""
    assert Metadata(id="7").encode() == b'{"v":1,"id":"7"}'
    assert Metadata(id="7").v == 1


def test_bytes_are_base64() -> None:
    """An answer's bytes are text in the header."""
    meta = json.loads(Metadata(id="7", done=Handled(step=1, input="6", answer=b"\x00\xff")).encode())

    assert meta["done"] == {"step": 1, "input": "6", "answer": "AP8="}


def test_members_that_came_later_are_ignored() -> None:
    """A newer process may add some."""
    assert Metadata.decode(b'{"v":1,"id":"7","later":[1]}') == Metadata(id="7")


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"null", b'{"v":2,"id":"7"}', b'{"v":1}', b'{"v":1,"id":7}', b"\xff"]
)
def test_other_bytes_are_undecodable(data: bytes) -> None:
    """No metadata, or of another layout version: a named error."""
    with pytest.raises(Undecodable, match="metadata cannot be decoded"):
        Metadata.decode(data)


@given(st.binary(max_size=60))
def test_arbitrary_bytes_raise_the_named_error_only(data: bytes) -> None:
    """Whatever the header holds."""
    with contextlib.suppress(Undecodable):
        assert isinstance(Metadata.decode(data), Metadata)
