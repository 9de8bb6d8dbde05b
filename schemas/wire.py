"""The wire format of a message: Confluent's, so that any registry-aware consumer reads it.

Layout: byte 0 is 0x00, the version of the format; bytes 1–4 are the schema id, unsigned, big-endian; the payload
follows.
"""

from __future__ import annotations

from schemas.errors import Undecodable

MAGIC = b"\x00"
HEADER_BYTES = 5


def header_of(schema_id: int) -> bytes:
    """The bytes that stand before every payload of the schema."""
    return MAGIC + schema_id.to_bytes(4, "big")


def schema_id_of(data: bytes) -> int:
    """The id of the schema that the bytes were written with.

    Raises:
        Undecodable: they do not begin with a header of this format.
    """
    if len(data) < HEADER_BYTES:
        raise Undecodable(f"a value of {len(data)} bytes", f"a header alone takes {HEADER_BYTES}")
    if data[:1] != MAGIC:
        raise Undecodable(f"a value that begins with 0x{data[0]:02x}", "the wire format's first byte is 0x00")
    return int.from_bytes(data[1:HEADER_BYTES], "big")
