"""What exceptions say, in a form that can be written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.error_text import error_reason, error_text


@given(st.text(st.characters(codec=None)))
def test_any_text_can_be_written(text: str) -> None:
    """Lone surrogates are replaced by what stands for them in Python's source, all else stays."""
    said = error_text(ValueError(text))

    assert said.encode().decode() == said
    assert said == "".join(f"\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in text)


def test_a_reason_begins_with_the_class() -> None:
    """One that says nothing is its class alone."""
    assert error_reason(KeyError("city")) == "KeyError: 'city'"
    assert error_reason(ValueError()) == "ValueError"
