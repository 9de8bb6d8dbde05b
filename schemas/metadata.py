"""What travels beside a message: identity, causality, where the answer goes.

One record header, `meta`, because each header costs. Layout: JSON in UTF-8 whose first member is `"v":1`, the version
of the layout; then the fields of `Metadata` by name, without those that have their default. Bytes are base64. Unknown
members are ignored, so that a newer process may add some; another `v` is refused.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeAlias

import msgspec

from schemas.errors import Undecodable

Digest: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class ReplyTo(msgspec.Struct, frozen=True, gc=False):
    """Where an answer goes (rule K10)."""

    topic: str
    partition: int
    correlation: str
    key: str = ""


class Handled(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a successor needs of a handled input (rule K1); stands on the last event of a commit."""

    step: int
    """The partition's step number."""
    input: str
    """The input's id."""
    answer: bytes | None = None
    """The encoded answer, if there was one; that of a reply `None` is an encoded `Nothing`."""
    timers: list[tuple[str, int, bytes]] = []
    """Timers that were set: name, due in milliseconds of the epoch, encoded message."""
    cancelled: list[str] = []
    """Names of the timers that were cleared."""
    content: Digest = 0
    """The input's `Metadata.content`."""


class Metadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="v", tag=1, gc=False):
    """What travels beside a message, in the header `meta`."""

    v: ClassVar[int] = 1
    """The version of the layout."""
    id: str
    """The message's id."""
    type: str = ""
    """The type name, for people and filters; the schema id in the value decides."""
    correlation: str = ""
    """The id of what all messages of one conversation have in common."""
    causation: str = ""
    """The id of the message that led to this one."""
    commit: str = ""
    """The commit an event belongs to."""
    index: int = 0
    """An event's place in its commit, from 0."""
    reply: ReplyTo | None = None
    """Where the answer goes; None if nobody waits."""
    attributes: dict[str, str] = {}
    """Whatever else travels along: tenant, a lock's age, saga and step."""
    content: Digest = 0
    """Of an input whose id its asker chose: a digest of what it says, by which a repeat that says something else is
    known. 0: it has none."""
    done: Handled | None = None
    """On a commit's last event: the input that it handled."""

    def encode(self) -> bytes:
        """The header's bytes."""
        return _encode(self)

    @staticmethod
    def decode(data: bytes) -> Metadata:
        """Read the header's bytes.

        Raises:
            Undecodable: they are no metadata, or of another layout version.
        """
        try:
            return _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Undecodable("metadata", str(error)) from error


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Metadata).decode
