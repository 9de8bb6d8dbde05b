"""Bytes that are nearly right: what a decoder is most likely to stumble over."""

from __future__ import annotations

from hypothesis import strategies as st

_TOKENS = (
    b"", b"\x00", b"\x01", b"\x7f", b"\x80", b"\xff", b"\xff" * 4, b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\x80\x80\x01",
    b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\xc3\x28", b"\xed\xa0\x80", b"null", b"true", b"-1", b"0", b"1e999",
    b"9" * 40, b"9" * 5_000, b'"', b'""', b"{", b"}", b"{}", b"[", b"]", b"[]", b"[" * 3_000, b'{"a":' * 3_000,
    b"\\u0000", b"\\ud800", b",", b":", b";", b"=", b"/", b"\n", b" ", b"\xdc\x00\x01", b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff", b"\x91" * 3_000, b"\xc6\xff\xff\xff\xff", b"\xc1", b"-", b"0:zzzzzzzzzz", b"v", b"1", b"2",
)  # fmt: skip

_tokens = st.integers(0, len(_TOKENS) - 1).map(_TOKENS.__getitem__)  # sampled from, they would be printed whole


@st.composite
def nearly(draw: st.DrawFn, valid: st.SearchStrategy[bytes]) -> bytes:
    """Valid bytes, changed in up to three places: cut, overwritten, with something put in, doubled, two halves."""
    data = draw(valid)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 16)))
        put = draw(_tokens | st.binary(max_size=8))
        match draw(st.sampled_from(("cut", "overwrite", "insert", "double", "flip", "splice"))):
            case "cut":
                data = data[:start]
            case "overwrite":
                data = data[:start] + put + data[start + len(put) :]
            case "insert":
                data = data[:start] + put + data[end:]
            case "double":
                data = data[:end] + data[start:]
            case "flip":
                data = (
                    data[:start] + bytes(byte ^ 1 << draw(st.integers(0, 7)) for byte in data[start:end]) + data[end:]
                )
            case _:
                data = data[:start] + draw(valid)[start:]
    return data


def mangled(valid: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Nearly valid bytes mostly, random ones now and then."""
    return st.one_of(nearly(valid), nearly(valid), nearly(valid), st.binary(max_size=200), _tokens)
