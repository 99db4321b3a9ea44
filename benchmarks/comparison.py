"""One run of a benchmark: its options, the sides taking turns, the table, the raw figures."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import side_v6 as v6
from table import Result, Row, machine, print_facts, print_table
from workloads import UVLOOP

Side = Callable[[Any, float], float]
"""Measures a workload for about so many seconds; returns the figure."""

Rows = dict[Row, tuple[str, Side, Side]]
"""What each row measures: a workload's name, ours, the peer."""

Found = dict[tuple[str, Side], Result]


def compare(
    about: str,
    rows: Rows,
    workloads: Mapping[str, Any],
    names: Mapping[Side, str],
    versions: Callable[[], dict[str, str]],
) -> int:
    """Measure and print what the command line asks for; return the exit code."""
    asked = _options(about, rows)
    asked.json = asked.json and asked.json.absolute()
    asked.v6 = asked.v6 and asked.v6.absolute()
    leave_project()
    chosen = {row: sides for row, sides in rows.items() if row.key in asked.rows}
    os.environ["LITEYUKI_LOG_LEVEL"] = "ERROR"
    if asked.uvloop:
        os.environ[UVLOOP] = "1"
    if asked.v6 is not None:
        v6.prepare(asked.v6)

    begun = monotonic()
    facts = {**machine(asked.uvloop), **versions()}
    print_facts(facts)
    found = _measure(chosen, workloads, asked.repetitions, 0.05 if asked.quick else 0.5)
    results = [
        (row, found[workload, mine], names[peer], found[workload, peer])
        for row, (workload, mine, peer) in chosen.items()
    ]
    print_table(results)
    print(f"\nMedian (least-most) of {asked.repetitions}; {monotonic() - begun:.0f} s in all.")
    if asked.json is not None:
        write_figures(asked.json, facts, results)
    return int(any(result.wrong for result in found.values()))


def leave_project() -> None:
    """Leave the project's folder: its pyproject.toml lists a plugin for another bot than ours."""
    os.chdir(Path(__file__).parent)


def write_figures(
    path: Path, facts: dict[str, str], results: list[tuple[Row, Result, str, Result]]
) -> None:
    """Write the figures of all repetitions, in the units of their rows, as JSON."""
    raw = [
        {
            "row": row.key,
            "what": row.what,
            "unit": row.unit,
            "ours": [figure * row.scale for figure in mine.figures],
            "peer": name,
            "peers": [figure * row.scale for figure in theirs.figures],
            "failure": mine.failure or theirs.failure,
        }
        for row, mine, name, theirs in results
    ]
    text = json.dumps({"facts": facts, "rows": raw}, indent=1, ensure_ascii=False)
    path.write_text(text, encoding="utf-8")


def option_parser(about: str, keys: str) -> argparse.ArgumentParser:
    """Return a parser of what may be asked of every comparison; `keys` are those of its rows."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--quick", action="store_true", help="one short repetition: does it work?")
    parser.add_argument("--repetitions", type=int, metavar="N", help="default 5, with --quick 1")
    parser.add_argument("--rows", default=keys, metavar="KEYS", help=f"some of {keys}, e.g. 13a")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw figures")
    return parser


def read_options(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the command line; `repetitions` is a number then."""
    found = parser.parse_args()
    keys = parser.get_default("rows")
    if not found.rows or set(found.rows) - set(keys):
        parser.error(f"--rows takes some of {keys}, not {found.rows!r}")
    if found.repetitions is None:
        found.repetitions = 1 if found.quick else 5
    if found.repetitions < 1:
        parser.error("--repetitions must be at least 1")
    return found


def _measure(rows: Rows, workloads: Mapping[str, Any], repetitions: int, seconds: float) -> Found:
    """Measure every row: the sides of one workload take turns, once each a repetition."""
    found: Found = {}
    for name, *sides in rows.values():
        for side in sides:
            found.setdefault((name, side), Result([]))
    for name, workload in workloads.items():
        taking_turns = [(key[1], result) for key, result in found.items() if key[0] == name]
        for _ in range(repetitions):
            for measure_side, result in taking_turns:
                result.add(partial(measure_side, workload, seconds))
    return found


def _options(about: str, rows: Rows) -> argparse.Namespace:
    parser = option_parser(about, "".join(row.key for row in rows))
    parser.add_argument(
        "--v6", type=Path, metavar="FOLDER", help="LiteyukiBot 6, in a virtual environment there"
    )
    parser.add_argument("--uvloop", action="store_true", help="uvloop in every process")
    return read_options(parser)
