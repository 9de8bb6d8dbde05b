"""How long encoding and decoding a ten-field event takes, beside the bare libraries.

    python -m benchmarks.codecs [--json]

Each figure is the fastest of several rounds, in microseconds a call.
"""

from __future__ import annotations

import io
import json
import sys
import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import fastavro
from rich.console import Console
from rich.table import Table

from schemas import Event, MemoryRegistry, Metadata, Serde
from schemas.schema import Format

_FORMATS: tuple[Format, ...] = ("avro", "json")
_CALLS, _ROUNDS = 5_000, 9


class OrderPlaced(Event, name="bench.order_placed"):
    """An event as most are."""

    order_id: str
    customer: str
    quantity: int
    total_cents: int
    discount: float
    express: bool
    currency: str
    note: str | None
    weight: int
    placed_at: datetime


EVENT = OrderPlaced(
    order_id="order-17", customer="customer-4711", quantity=3, total_cents=129_900, discount=0.25, express=True,
    currency="EUR", note=None, weight=1_200, placed_at=datetime(2026, 2, 8, 9, 30, tzinfo=UTC),
)  # fmt: skip


def fastest(call: Callable[[], object]) -> float:
    """Microseconds of one call."""
    return min(timeit.repeat(call, number=_CALLS, repeat=_ROUNDS)) / _CALLS * 1e6


def measure() -> dict[str, dict[str, float]]:
    """Each codec's size in bytes and microseconds to encode and decode."""
    registry = MemoryRegistry()
    figures: dict[str, dict[str, float]] = {
        each: _serde(Serde(registry, [OrderPlaced], format=each)) for each in _FORMATS
    }
    figures["fastavro alone"] = _bare_avro(registry)
    meta = Metadata(id="7f3e2a", type="bench.order_placed", correlation="7f3e2a", causation="11", commit="c", index=1)
    header = meta.encode()
    figures["metadata"] = _row(len(header), meta.encode, lambda: Metadata.decode(header))
    return figures


def _serde(serde: Serde) -> dict[str, float]:
    data = serde.encode(EVENT)
    return _row(len(data), lambda: serde.encode(EVENT), lambda: serde.decode(data))


def _bare_avro(registry: MemoryRegistry) -> dict[str, float]:
    """fastavro with plain dictionaries, no classes: what the serde is measured against."""
    schema = registry.get(1)
    assert schema is not None
    codec: Any = fastavro
    parsed, fields, out = codec.parse_schema(json.loads(schema.text)), dict(vars(EVENT)), io.BytesIO()
    codec.schemaless_writer(out, parsed, fields)
    data = out.getvalue()
    return _row(
        len(data),
        lambda: codec.schemaless_writer(io.BytesIO(), parsed, fields),
        lambda: codec.schemaless_reader(io.BytesIO(data), parsed, None),
    )


def _row(size: int, encode: Callable[[], object], decode: Callable[[], object]) -> dict[str, float]:
    return {"bytes": size, "encode_us": round(fastest(encode), 2), "decode_us": round(fastest(decode), 2)}


def main() -> None:
    """Print the figures as a table, or as JSON."""
    figures = measure()
    if "--json" in sys.argv[1:]:
        print(json.dumps(figures))
        return
    table = Table("ten-field event", "bytes", "encode µs", "decode µs")
    for name, row in figures.items():
        table.add_row(name, f"{row['bytes']:.0f}", f"{row['encode_us']:.2f}", f"{row['decode_us']:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
