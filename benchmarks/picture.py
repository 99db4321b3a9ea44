"""The picture of growth.py's figures."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes

_LOOKS: dict[str, dict[str, Any]] = {
    "LiteyukiBot": {"color": "#0b6fb8", "marker": "o", "linestyle": "-"},
    "LiteyukiBot, no pauses": {"color": "#4fa8d8", "marker": "^", "linestyle": ":"},
    "Pipe": {"color": "#c2571a", "marker": "s", "linestyle": "--"},
}
_UNITS = ((1e6, "M"), (1e3, "k"))


def draw(axes: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw the figures of all axes into the PNG file `path`."""
    figure = Figure(figsize=(9, 6.6), dpi=110, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    ((channels, children), (messages, megabytes)) = figure.subplots(2, 2)
    _plot(channels, axes["channels"], "100-byte str, over all channels of one link", "channels")
    _plot(children, axes["children"], "100-byte str, to all children together", "children")
    size = "size of a message, bytes"
    _plot(messages, axes["bytes"], "bytes, messages a second", size)
    _plot(megabytes, axes["bytes"], "the same, MB a second", size, "MB/s", True, "lower right")
    figure.savefig(path, format="png")


def _plot(
    axes: Axes,
    data: Mapping[str, Any],
    title: str,
    growing: str,
    unit: str = "messages/s",
    times_size: bool = False,
    legend: Literal["lower left", "lower right"] = "lower left",
) -> None:
    points = data["points"]
    lowest, highest = float("inf"), 0.0
    for name, measured in data["sides"].items():
        look = _LOOKS[name]
        xs, ys, least, most = [], [], [], []
        for point, figures in zip(points, measured, strict=True):
            if not figures:
                continue
            scale = point / 1e6 if times_size else 1.0
            xs.append(point)
            ys.append(median(figures) * scale)
            least.append(min(figures) * scale)
            most.append(max(figures) * scale)
        axes.plot(xs, ys, label=name, linewidth=2, markersize=6, **look)
        axes.fill_between(xs, least, most, color=look["color"], alpha=0.15, linewidth=0)
        lowest, highest = min(lowest, *least), max(highest, *most)
    axes.set(xscale="log", yscale="log", xlabel=growing, ylabel=unit)
    axes.set_title(title, fontsize=11)
    axes.xaxis.set_major_locator(FixedLocator(points))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(_short))
    axes.yaxis.set_major_formatter(FuncFormatter(_short))
    axes.set_ylim(lowest / 2, highest * 2)
    if highest < 100 * lowest:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(True, which="major", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc=legend, frameon=False, fontsize=9)


def _short(value: float, _: int) -> str:
    for scale, letter in _UNITS:
        if value >= scale:
            return f"{value / scale:g}{letter}"
    return f"{value:g}"
