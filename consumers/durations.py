"""How long handlers take, as a histogram in Prometheus' form."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

BOUNDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 900.0)
"""Upper bounds of the buckets, seconds."""


class Durations:
    """Counts durations by bucket. One thread adds, any reads."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self._sum += seconds

    def metrics(self, name: str) -> dict[str, float]:
        """The samples of the histogram `name`."""
        *buckets, total = accumulate(self._counts)
        samples: dict[str, float] = {
            f'{name}_bucket{{le="{bound:g}"}}': count for bound, count in zip(BOUNDS, buckets, strict=True)
        }
        samples[f'{name}_bucket{{le="+Inf"}}'] = total
        samples[f"{name}_sum"] = self._sum
        samples[f"{name}_count"] = total
        return samples
