"""What the id of a subject of personal data may be."""

from __future__ import annotations

from schemas.sealing import SUBJECT_MAX_BYTES


def check_subject(subject: str) -> None:
    """Refuse what cannot be a subject's id.

    Raises:
        TypeError: it is no str.
        ValueError: it is empty, too long, or holds half of a surrogate pair.
    """
    try:
        size = len(subject.encode())
    except AttributeError:
        raise TypeError(
            f"a subject is a str, such as 'customer-17', and not {type(subject).__name__}: give the text of what the "
            "message's field holds, such as str(customer_id)"
        ) from None
    except UnicodeEncodeError:
        raise ValueError(f"subject {subject!r} cannot be written in UTF-8: remove its lone surrogates") from None
    if not 1 <= size <= SUBJECT_MAX_BYTES:
        raise ValueError(f"subject {subject[:40]!r} has {size} bytes of UTF-8: 1 to {SUBJECT_MAX_BYTES} are taken")
