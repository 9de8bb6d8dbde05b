"""How much a worker takes on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from schemas.option_values import DURATION, WHOLE, check_value


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one worker, per process."""

    records: int = 4_000
    """Records in flight, shared out evenly to the assigned partitions; exceeded by at most one poll."""
    bytes: int = 64 * 1024 * 1024
    """Bytes in flight, likewise."""
    drain: timedelta = timedelta(seconds=10)
    """How long handlers may go on when their partition is revoked."""

    def __post_init__(self) -> None:
        check_value("Limits", "records", self.records, WHOLE)
        check_value("Limits", "bytes", self.bytes, WHOLE)
        check_value("Limits", "drain", self.drain, DURATION)
