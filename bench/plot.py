"""The table of bench/overhead.py as a picture: CPU per call and added latency of each way, by clients."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from matplotlib import pyplot  # type: ignore[import-not-found,unused-ignore]


class Leg(Protocol):
    """What of a leg is drawn."""

    upstream: str
    way: str
    clients: int
    p50_ms: float
    cpu_us_per_call: float


def plot(legs: Sequence[Leg], file: Path) -> None:
    """Write an SVG: over the fast tool server, one group of bars for each number of clients, on logarithmic scales."""
    pyplot.switch_backend("svg")
    fast = [leg for leg in legs if leg.upstream == "fast" and leg.way != "bare ASGI"]
    ways = list(dict.fromkeys(leg.way for leg in fast))
    loads = sorted({leg.clients for leg in fast})
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4))
    for axis, title, value in (
        (axes[0], "CPU per call, µs", "cpu_us_per_call"),
        (axes[1], "median latency, ms", "p50_ms"),
    ):
        width = 0.8 / len(ways)
        for place, way in enumerate(ways):
            of_way = {leg.clients: getattr(leg, value) for leg in fast if leg.way == way}
            heights = [of_way.get(clients, 0) for clients in loads]
            axis.bar([at + place * width for at in range(len(loads))], heights, width, label=way)
        axis.set_yscale("log")
        axis.set_title(title)
        axis.set_xticks([at + 0.4 - width / 2 for at in range(len(loads))], [f"{n} clients" for n in loads])
    axes[1].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
