"""Measure how cost grows with channels, with children and with the size of messages.

`python benchmarks/growth.py` prints tables, `--picture FILE` draws them; README.md says what is
measured. Exits with 1 when something could not be measured or arrived wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import monotonic

import side_liteyuki as ours
import side_pipe as pipe
from comparison import leave_project
from table import Result, machine, print_facts, print_lines
from workloads import SIZES, WORKLOADS

OURS, UNPAUSED, PIPE = ours.NAME, f"{ours.NAME}, no pauses", "Pipe"
TEXT = WORKLOADS["text"]
Measure = Callable[[int, float], float]


@dataclass(frozen=True)
class Axis:
    """What grows, and how each side is measured: messages a second at a point of the axis."""

    name: str
    points: tuple[int, ...]
    quick: tuple[int, ...]
    sides: dict[str, Measure]


def _pipe_channels(channels: int, seconds: float) -> float:
    if channels == 1:
        return pipe.one_way(TEXT, seconds)
    return pipe.one_way_tagged(TEXT, seconds, channels)


AXES = (
    Axis(
        "channels",
        (1, 10, 100, 1_000),
        (100,),
        {
            OURS: lambda channels, seconds: ours.spread(TEXT, seconds, channels=channels),
            UNPAUSED: lambda channels, seconds: ours.spread(
                TEXT, seconds, channels=channels, pause=None
            ),
            PIPE: _pipe_channels,
        },
    ),
    Axis(
        "children",
        (1, 4, 16),
        (4,),
        {
            OURS: lambda children, seconds: ours.spread(TEXT, seconds, children=children),
            PIPE: lambda children, seconds: pipe.one_way_to_children(TEXT, seconds, children),
        },
    ),
    Axis(
        "bytes",
        tuple(SIZES),
        (10, 10_000_000),
        {
            OURS: lambda size, seconds: ours.one_way(SIZES[size], seconds),
            PIPE: lambda size, seconds: pipe.one_way(SIZES[size], seconds),
        },
    ),
)
Found = dict[int, dict[str, Result]]


def measure(axis: Axis, quick: bool, repetitions: int, seconds: float) -> Found:
    """Measure the sides in turns at each point of an axis."""
    found: Found = {}
    for point in axis.quick if quick else axis.points:
        found[point] = {side: Result([]) for side in axis.sides}
        for _ in range(repetitions):
            for side, result in found[point].items():
                result.add(partial(axis.sides[side], point, seconds))
    return found


def print_axis(axis: Axis, found: Found) -> None:
    """Print one table: a line a point."""
    by_size = axis.name == "bytes"
    head = [axis.name, *(f"{side}, msg/s" for side in axis.sides)]
    if by_size:
        head += [f"{side}, MB/s" for side in axis.sides]
    lines = [[*head, "ratio"]]
    for point, results in found.items():
        figures = {
            side: median(result.figures) if result.figures else None
            for side, result in results.items()
        }
        cells = [f"{point:,}", *(_cell(figure, 1) for figure in figures.values())]
        if by_size:
            cells += [_cell(figure, point / 1e6) for figure in figures.values()]
        mine, peers = figures[OURS], figures[PIPE]
        lines.append([*cells, f"{mine / peers:.2f}x" if mine and peers else ""])
    print_lines(lines)
    for point, results in found.items():
        for side, result in results.items():
            if result.failure:
                print(f"\n{point:,} {axis.name}, {side}: {result.failure}")
    print(flush=True)


def _cell(figure: float | None, scale: float) -> str:
    if figure is None:
        return "failed, see below"
    figure *= scale
    return f"{figure:,.0f}" if figure >= 10 else f"{figure:.2g}"


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="how cost grows, beside multiprocessing.Pipe")
    parser.add_argument("--quick", action="store_true", help="a few short ones: does it work?")
    parser.add_argument("--repetitions", type=int, metavar="N", help="default 3, with --quick 1")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw figures")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw them, e.g. growth.png")
    found = parser.parse_args()
    if found.repetitions is not None and found.repetitions < 1:
        parser.error("--repetitions must be at least 1")
    if found.picture is not None and find_spec("matplotlib") is None:
        parser.error('--picture needs matplotlib: pip install -e ".[bench]"')
    return found


def main() -> int:
    """Measure, print and draw."""
    asked = options()
    asked.json = asked.json and asked.json.absolute()
    asked.picture = asked.picture and asked.picture.absolute()
    leave_project()
    repetitions = asked.repetitions or (1 if asked.quick else 3)
    os.environ["LITEYUKI_LOG_LEVEL"] = "ERROR"
    begun = monotonic()
    facts = {**machine(False), ours.NAME: ours.version(), pipe.NAME: pipe.version()}
    print_facts(facts)
    axes = {}
    wrong = False
    for axis in AXES:
        found = measure(axis, asked.quick, repetitions, 0.05 if asked.quick else 0.5)
        print_axis(axis, found)
        wrong |= any(result.wrong for results in found.values() for result in results.values())
        axes[axis.name] = {
            "points": list(found),
            "sides": {
                side: [results[side].figures for results in found.values()] for side in axis.sides
            },
        }
    print(f"Medians of {repetitions}; {monotonic() - begun:.0f} s in all.")
    if asked.json is not None:
        text = json.dumps({"facts": facts, "messages a second": axes}, indent=1)
        asked.json.write_text(text, encoding="utf-8")
    if asked.picture is not None:
        from picture import draw

        draw(axes, asked.picture)
    return int(wrong)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
