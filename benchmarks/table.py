"""The table: rows with what they must reach, and the figures beside each other."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from workloads import NotMeasurable

if TYPE_CHECKING:
    from collections.abc import Callable

_HEAD = ["what", "ours", "peer", "ratio", "must", "goal", "reached"]
_SCALES = {"msg/s": 1.0, "ops/s": 1.0, "µs": 1e6, "ms": 1e3, "MB/s": 10.0, "MB": 1e-6}
"""What one of a side's figures is in a row's unit: how many a second, seconds, 10 MB a second,
bytes."""


@dataclass(frozen=True)
class Row:
    """One line of the table; `must` and `goal` are ratios, ours to the peer's.

    Where there is no peer they are `absolute`: in the row's unit.
    """

    key: str
    what: str
    unit: str
    must: float | None = None
    goal: float | None = None
    absolute: bool = False

    @property
    def scale(self) -> float:
        """What turns a side's figure into the row's unit."""
        return _SCALES[self.unit]

    @property
    def less_is_better(self) -> bool:
        """Whether the figure is a time or memory."""
        return self.unit in ("µs", "ms", "MB")


@dataclass
class Result:
    """What one side's repetitions gave; `wrong` says that it failed where it should not."""

    figures: list[float]
    failure: str = ""
    wrong: bool = False

    def add(self, measure: Callable[[], float]) -> None:
        """Measure once more, unless it failed before."""
        if self.failure:
            return
        try:
            self.figures.append(measure())
        except NotMeasurable as error:
            self.failure = str(error)
        except Exception as error:
            self.failure = f"{type(error).__name__}: {error}"
            self.wrong = True


def machine(uvloop: bool) -> dict[str, str]:
    """Return what is measured on."""
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "OS": platform.platform(),
        "CPUs": str(os.cpu_count()),
        "load before": load,
        "event loop": "uvloop" if uvloop else "asyncio",
    }


def print_facts(facts: dict[str, str]) -> None:
    """Print what was measured on what, one fact a line."""
    print(*(f"{name}: {value}" for name, value in facts.items()), sep="\n", end="\n\n", flush=True)


def print_lines(lines: list[list[str]]) -> None:
    """Print a Markdown table of cells; the first line is its head."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    head, *rest = lines
    for cells in (head, ["-" * width for width in widths], *rest):
        print("| " + " | ".join(map(str.ljust, cells, widths)) + " |")


def print_table(results: list[tuple[Row, Result, str, Result]]) -> None:
    """Print a Markdown table: per row ours, the peer's name and the peer's; below it failures."""
    print_lines([_HEAD, *(_line(*result) for result in results)])
    printed = set()
    for row, ours, name, peer in results:
        for side, result in (("ours", ours), (name, peer)):
            if result.wrong and result.failure not in printed:
                printed.add(result.failure)
                print(f"\nRow {row.key}, {side}: {result.failure}")


def _line(row: Row, ours: Result, name: str, peer: Result) -> list[str]:
    ratio, reached = "", "not measured"
    if ours.figures and row.absolute:
        reached = _reached(row, median(ours.figures) * row.scale)
    elif ours.figures and peer.figures:
        value = median(ours.figures) / median(peer.figures)
        ratio, reached = f"{value:,.{0 if value >= 100 else 2}f}x", _reached(row, value)
    if ours.wrong or peer.wrong:
        reached = "failed"
    return [
        f"{row.key}. {row.what}",
        _figures(row, ours),
        "" if row.absolute else f"{name} {_figures(row, peer)}",
        ratio,
        _bound(row, row.must),
        _bound(row, row.goal),
        reached,
    ]


def _bound(row: Row, figure: float | None) -> str:
    if figure is None:
        return ""
    unit = f" {row.unit}" if row.absolute else "x"
    return f"{'<= ' if row.less_is_better else ''}{figure:g}{unit}"


def _figures(row: Row, result: Result) -> str:
    if result.failure:
        return "failed, see below" if result.wrong else result.failure
    middle, least, most = (
        f"{find(result.figures) * row.scale:,.0f}" for find in (median, min, max)
    )
    return f"{middle} {row.unit} ({least}-{most})"


def _reached(row: Row, ratio: float) -> str:
    if row.must is None or row.goal is None:
        return "for information"
    for bound, words in ((row.goal, "goal"), (row.must, "must")):
        if ratio <= bound if row.less_is_better else ratio >= bound:
            return words
    return "below must"
