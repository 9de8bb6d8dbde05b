"""Damage RocksDB's tables in the middle, where only who reads the rows there finds it."""

from __future__ import annotations

from pathlib import Path

LEAST_BYTES = 20_000
"""A table with several blocks."""


def flip_a_bit(folder: Path) -> list[Path]:
    """Flip one bit in the middle of each large table below the folder; the tables that it was done to."""
    flipped = [path for path in sorted(folder.rglob("*.sst")) if path.stat().st_size >= LEAST_BYTES]
    for path in flipped:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    return flipped
