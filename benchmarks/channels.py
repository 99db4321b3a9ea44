"""Measure channels side by side with their peers, in one run.

`python benchmarks/channels.py` prints the table; `--help` tells the options, README.md what
each row is. Exits with 1 when something could not be measured or arrived wrong.
"""

from __future__ import annotations

import sys

import side_import as imports
import side_liteyuki as ours
import side_pipe as pipe
import side_pyzmq as pyzmq
import side_queues as queues
import side_v6 as v6
from comparison import Rows, Side, compare
from table import Row
from workloads import IN_FLIGHT, WORKLOADS

TEXT = "100-byte str to on_receive"
EVENT = "1 kB OneBot event to on_receive"
ROWS: Rows = {
    Row("1", TEXT, "msg/s", 5, 8): ("text", ours.one_way, pipe.one_way),
    Row("2", TEXT, "msg/s", 12, 20): ("text", ours.one_way, pyzmq.one_way),
    Row("3", EVENT, "msg/s", 1.3, 2): ("event", ours.one_way, pipe.one_way),
    Row("4", "round trip, p50", "µs", 0.8, 0.4): ("trip", ours.round_trip, pyzmq.round_trip),
    Row("5", "10 MB bytes to on_receive", "MB/s", 1, 3): ("block", ours.one_way, pipe.one_way),
    Row("a", "100-byte str, thread to receive", "msg/s", 1, 2): (
        "text",
        ours.one_way_threads,
        pipe.one_way,
    ),
    Row("b", "round trip, p50, async_receive", "µs"): (
        "trip",
        ours.round_trip_receive,
        pyzmq.round_trip,
    ),
    Row("q", "request and answer, p50", "µs", 1.25, 1.1): (
        "trip",
        ours.request_trip,
        ours.round_trip,
    ),
    Row("r", f"requests, {IN_FLIGHT} at a time", "msg/s", 2): (
        "trip",
        ours.requests,
        pyzmq.requests,
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
    pyzmq.requests: "pyzmq DEALER/ROUTER",
    ours.round_trip: "row 4",
    queues.standard: "Queue",
    queues.fifo: "faster-fifo",
    queues.fifo_many: "faster-fifo get_many",
    v6.one_way: v6.NAME,
    imports.asyncio: "asyncio",
}


def versions() -> dict[str, str]:
    """Return what is measured."""
    return {
        ours.NAME: ours.version(),
        pipe.NAME: pipe.version(),
        pyzmq.NAME: pyzmq.version(),
        queues.NAME: queues.version(),
        v6.NAME: v6.version(),
    }


if __name__ == "__main__":
    about = "channels beside their peers, in one run"
    try:
        sys.exit(compare(about, ROWS, WORKLOADS, NAMES, versions))
    except KeyboardInterrupt:
        sys.exit(130)
