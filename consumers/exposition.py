"""Metrics of loops in Prometheus text form.

A loop's metrics are samples by name; a name may carry labels in braces, `failed_total{type="order.placed"}`. Names that
end in `_total` are counters; `x_bucket{le=…}`, `x_sum` and `x_count` make a histogram; all others are gauges.
"""

from __future__ import annotations

from collections.abc import Mapping


def exposition(loops: Mapping[str, Mapping[str, float]]) -> bytes:
    """The samples of all loops, each with the label `component`, which is its loop's name."""
    histograms = {name.partition("_bucket{")[0] for samples in loops.values() for name in samples if "_bucket{" in name}
    families: dict[str, list[str]] = {}
    for loop, samples in sorted(loops.items()):
        for name, value in samples.items():
            plain, _, labels = name.partition("{")
            line = f"{plain}{{{_labels(loop, labels)} {_number(value)}"
            families.setdefault(_family(plain, histograms), []).append(line)
    lines = [line for family in sorted(families) for line in (_type_line(family, histograms), *families[family])]
    return ("\n".join(lines) + "\n").encode()


def _labels(loop: str, labels: str) -> str:
    escaped = loop.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'component="{escaped}"' + (f",{labels}" if labels else "}")


def _family(plain: str, histograms: set[str]) -> str:
    for suffix in ("_bucket", "_sum", "_count"):
        if plain.endswith(suffix) and plain.removesuffix(suffix) in histograms:
            return plain.removesuffix(suffix)
    return plain


def _type_line(family: str, histograms: set[str]) -> str:
    kind = "histogram" if family in histograms else "counter" if family.endswith("_total") else "gauge"
    return f"# TYPE {family} {kind}"


def _number(value: float) -> str:
    return repr(float(value)).replace("inf", "Inf").replace("nan", "NaN")
