"""Measure channels side by side with their peers, in one run.

`python benchmarks/channels.py` prints the table; `--help` tells the options, README.md what
each row is. Exits with 1 when something could not be measured or arrived wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic

import side_import as imports
import side_liteyuki as ours
import side_pipe as pipe
import side_pyzmq as pyzmq
import side_queues as queues
import side_v6 as v6
from table import Result, Row, machine, print_facts, print_table
from workloads import UVLOOP, WORKLOADS, Workload

Side = Callable[[Workload, float], float]
Found = dict[tuple[str, Side], Result]

TEXT = "100-byte str to on_receive"
EVENT = "1 kB OneBot event to on_receive"
ROWS = {
    Row("1", TEXT, "msg/s", 5, 8): ("text", ours.one_way, pipe.one_way),
    Row("2", TEXT, "msg/s", 12, 20): ("text", ours.one_way, pyzmq.one_way),
    Row("3", EVENT, "msg/s", 1.3, 2): ("event", ours.one_way, pipe.one_way),
    Row("4", "round trip, p50", "µs", 0.8, 0.4): ("trip", ours.round_trip, pyzmq.round_trip),
    Row("5", "10 MB bytes to on_receive", "MB/s", 1, 3): ("block", ours.one_way, pipe.one_way),
    Row("a", "100-byte str, thread to receive", "msg/s"): (
        "text",
        ours.one_way_threads,
        pipe.one_way,
    ),
    Row("b", "round trip, p50, async_receive", "µs"): (
        "trip",
        ours.round_trip_receive,
        pyzmq.round_trip,
    ),
    Row("c", TEXT, "msg/s"): ("text", ours.one_way, queues.standard),
    Row("d", TEXT, "msg/s"): ("text", ours.one_way, queues.fifo),
    Row("e", TEXT, "msg/s"): ("text", ours.one_way, queues.fifo_many),
    Row("f", TEXT, "msg/s"): ("text", ours.one_way, v6.one_way),
    Row("g", EVENT, "msg/s"): ("event", ours.one_way, queues.standard),
    Row("h", EVENT, "msg/s"): ("event", ours.one_way, queues.fifo),
    Row("j", EVENT, "msg/s"): ("event", ours.one_way, queues.fifo_many),
    Row("k", EVENT, "msg/s"): ("event", ours.one_way, v6.one_way),
    Row("i", "import liteyuki_core", "ms", 2, 1.5): ("import", imports.ours, imports.asyncio),
}
NAMES: dict[Side, str] = {
    pipe.one_way: "Pipe",
    pyzmq.one_way: "pyzmq",
    pyzmq.round_trip: "pyzmq",
    queues.standard: "Queue",
    queues.fifo: "faster-fifo",
    queues.fifo_many: "faster-fifo get_many",
    v6.one_way: v6.NAME,
    imports.asyncio: "asyncio",
}


def measure(rows: list[Row], repetitions: int, seconds: float) -> Found:
    """Measure every row: the sides of one workload take turns, once each a repetition."""
    found: Found = {}
    for row in rows:
        name, *sides = ROWS[row]
        for side in sides:
            found.setdefault((name, side), Result([]))
    for name, workload in WORKLOADS.items():
        taking_turns = [(key[1], result) for key, result in found.items() if key[0] == name]
        for _ in range(repetitions):
            for measure_side, result in taking_turns:
                result.add(partial(measure_side, workload, seconds))
    return found


def facts(uvloop: bool) -> dict[str, str]:
    """Return what was measured on what."""
    return {
        **machine(uvloop),
        ours.NAME: ours.version(),
        pipe.NAME: pipe.version(),
        pyzmq.NAME: pyzmq.version(),
        queues.NAME: queues.version(),
        v6.NAME: v6.version(),
    }


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="channels beside their peers, in one run")
    keys = "".join(row.key for row in ROWS)
    parser.add_argument("--quick", action="store_true", help="one short repetition: does it work?")
    parser.add_argument("--repetitions", type=int, metavar="N", help="default 5, with --quick 1")
    parser.add_argument("--rows", default=keys, metavar="KEYS", help=f"some of {keys}, e.g. 13a")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw figures")
    parser.add_argument(
        "--v6", type=Path, metavar="FOLDER", help="LiteyukiBot 6, in a virtual environment there"
    )
    parser.add_argument("--uvloop", action="store_true", help="uvloop in every process")
    found = parser.parse_args()
    if not found.rows or set(found.rows) - set(keys):
        parser.error(f"--rows takes some of {keys}, not {found.rows!r}")
    if found.repetitions is not None and found.repetitions < 1:
        parser.error("--repetitions must be at least 1")
    return found


def main() -> int:
    """Measure and print."""
    asked = options()
    repetitions = asked.repetitions or (1 if asked.quick else 5)
    rows = [row for row in ROWS if row.key in asked.rows]
    os.environ["LITEYUKI_LOG_LEVEL"] = "ERROR"
    if asked.uvloop:
        os.environ[UVLOOP] = "1"
    if asked.v6 is not None:
        v6.prepare(asked.v6)

    begun = monotonic()
    what = facts(asked.uvloop)
    print_facts(what)
    found = measure(rows, repetitions, 0.05 if asked.quick else 0.5)
    results = []
    for row in rows:
        workload, mine, peer = ROWS[row]
        results.append((row, found[workload, mine], NAMES[peer], found[workload, peer]))
    print_table(results)
    print(f"\nMedian (least-most) of {repetitions}; {monotonic() - begun:.0f} s in all.")
    if asked.json is not None:
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
        text = json.dumps({"facts": what, "rows": raw}, indent=1, ensure_ascii=False)
        asked.json.write_text(text, encoding="utf-8")
    return int(any(result.wrong for result in found.values()))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
