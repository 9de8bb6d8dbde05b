"""Encrypt personal data so that it can be read only while its subject's key exists (rule E4).

AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits. A sealed value names its key; integers are big-endian:

    01 key id (16 bytes)  length of the subject:u16  subject in UTF-8  nonce (12 bytes)  ciphertext and tag (16 bytes)

Everything before the nonce is authenticated with the ciphertext: a value cannot be handed to another subject or key. It
is *not* bound to a message type or field, so that a decision may copy it from a command to an event without a key.

Under one key, about 2³² values may be sealed before nonces could repeat; a subject never comes near.
"""

from __future__ import annotations

import os
from functools import cache
from struct import Struct
from typing import Any, Final, NamedTuple

from schemas.errors import SchemaError

KEY_BYTES: Final = 32
KEY_ID_BYTES: Final = 16
SUBJECT_MAX_BYTES: Final = 500
_VERSION: Final = 1
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_HEAD = Struct(">B16sH")


class CryptoMissing(SchemaError):
    """The package `cryptography` is not installed: personal data can neither be sealed nor read."""

    def __init__(self) -> None:
        super().__init__("personal data needs the package cryptography: run `pip install 'sagalog[crypto]'`")


class PersonalDamaged(SchemaError):
    """A sealed value is not what was sealed: it was changed, or is none. Find out who writes there."""

    def __init__(self, subject: str, why: str) -> None:
        super().__init__(
            f"personal data of {subject or 'an unknown subject'} is damaged ({why}): it was changed after it was "
            "sealed; restore the record from a copy, or find out who writes there"
        )
        self.subject, self.why = subject, why


class Sealed(NamedTuple):
    """The parts of a sealed value."""

    key_id: bytes
    subject: str
    head: bytes
    """What is authenticated besides."""
    nonce: bytes
    ciphertext: bytes


def seal(plaintext: bytes, *, subject: str, key_id: bytes, key: bytes) -> bytes:
    """The sealed form of a value.

    Raises:
        CryptoMissing: `cryptography` is not installed.
    """
    name = subject.encode()
    head, nonce = _HEAD.pack(_VERSION, key_id, len(name)) + name, os.urandom(_NONCE_BYTES)
    ciphertext: bytes = aes(key).encrypt(nonce, plaintext, head)
    return head + nonce + ciphertext


def parse(sealed: bytes) -> Sealed:
    """The parts of a sealed value.

    Raises:
        PersonalDamaged: it is none, or of a layout that this version does not know.
    """
    if len(sealed) < _HEAD.size:
        raise PersonalDamaged("", f"{len(sealed)} bytes are no sealed value")
    version, key_id, size = _HEAD.unpack_from(sealed)
    end = _HEAD.size + size
    if version != _VERSION:
        raise PersonalDamaged("", f"its layout version is {version}, this program knows {_VERSION}")
    if len(sealed) < end + _NONCE_BYTES + _TAG_BYTES:
        raise PersonalDamaged("", "its end is missing")
    try:
        subject = sealed[_HEAD.size : end].decode()
    except UnicodeDecodeError:
        raise PersonalDamaged("", "its subject is no UTF-8") from None
    return Sealed(key_id, subject, sealed[:end], sealed[end : end + _NONCE_BYTES], sealed[end + _NONCE_BYTES :])


def unseal(sealed: Sealed, key: bytes) -> bytes:
    """The value that was sealed.

    Raises:
        PersonalDamaged: it was changed since.
        CryptoMissing: `cryptography` is not installed.
    """
    try:
        return bytes(aes(key).decrypt(sealed.nonce, sealed.ciphertext, sealed.head))
    except _invalid_tag():
        raise PersonalDamaged(sealed.subject, "its authentication tag does not match") from None


def aes(key: bytes) -> Any:
    """AES-GCM under a key.

    Raises:
        CryptoMissing: `cryptography` is not installed.
    """
    return _aes_gcm()(key)


@cache
def _aes_gcm() -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise CryptoMissing from None
    return AESGCM


@cache
def _invalid_tag() -> type[Exception]:
    from cryptography.exceptions import InvalidTag

    return InvalidTag
