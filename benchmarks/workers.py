"""Measure calls of functions in worker processes side by side with peers, in one run.

`python benchmarks/workers.py` prints the table; `--help` tells the options, README.md what each
row is. Exits with 1 when something could not be measured or a result was wrong.
"""

from __future__ import annotations

import sys

import side_liteyuki as ours
import side_workers as sides
from comparison import Rows, Side, compare
from table import Row
from workers_work import WORKERS_WORK
from workloads import IN_FLIGHT

NO_OP = f"no-op, {IN_FLIGHT} at a time"
BLOCK = f"1 MB result, {IN_FLIGHT} at a time"
RATE = "ops/s"
ROWS: Rows = {
    Row("1", NO_OP, RATE, 0.8, 1.5): ("no-op", sides.ours, sides.executor),
    Row("2", NO_OP, RATE, 0.8, 1.5): ("no-op", sides.ours, sides.aiomultiprocess),
    Row("3", BLOCK, RATE, 0.8, 1.5): ("1 MB", sides.ours, sides.executor),
    Row("4", BLOCK, RATE, 0.8, 1.5): ("1 MB", sides.ours, sides.aiomultiprocess),
    Row("a", "no-op, one at a time", RATE): ("no-op, one", sides.ours, sides.executor),
}
NAMES: dict[Side, str] = {
    sides.executor: sides.EXECUTOR,
    sides.aiomultiprocess: sides.AIOMULTIPROCESS,
}


def versions() -> dict[str, str]:
    """Return what is measured."""
    return {ours.NAME: ours.version(), **sides.versions()}


if __name__ == "__main__":
    about = "calls of worker processes beside peers, in one run"
    try:
        sys.exit(compare(about, ROWS, WORKERS_WORK, NAMES, versions))
    except KeyboardInterrupt:
        sys.exit(130)
