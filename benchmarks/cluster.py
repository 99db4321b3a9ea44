"""Measure channels and the store between nodes beside nats-py alone, and channels beside the local
link, in one run.

`python benchmarks/cluster.py` prints the table; `--help` tells the options, README.md what each
row is. Exits with 1 when something could not be measured or a result was wrong.
"""

from __future__ import annotations

import sys

import side_cluster as sides
import side_cluster_store as stores
import side_liteyuki as link
from comparison import Rows, Side, compare
from table import Row
from workloads import WORKLOADS, Workload

RATE = "msg/s"
TEXT = "100-byte str, node to node"
TRIP = "round trip, node to node"
REQUEST = "request and answer, node to node"
STORE = "store, 100-byte str:"
CLUSTER_WORK = {
    "text": WORKLOADS["text"],
    "trip": Workload("trip", WORKLOADS["trip"].make_pool, 50, 5_000),
}
ROWS: Rows = {
    Row("1", TEXT, RATE, 0.7, 0.95): ("text", sides.one_way, sides.raw_one_way),
    Row("2", f"{TRIP}, p50", "µs"): ("trip", sides.round_trip, sides.raw_round_trip),
    Row("3", f"{TRIP}, p99", "µs"): ("trip", sides.round_trip_p99, sides.raw_round_trip_p99),
    Row("4", f"{REQUEST}, p50", "µs"): ("trip", sides.request_trip, sides.raw_request_trip),
    Row("5", f"{STORE} set, p50", "µs"): ("trip", stores.set_time, stores.raw_set_time),
    Row("6", f"{STORE} get, p50", "µs"): ("trip", stores.get_time, stores.raw_get_time),
    Row("7", f"{STORE} get with stale_ok, p50", "µs"): (
        *("trip", stores.stale_get_time, stores.raw_get_time),
    ),
    Row("8", f"{STORE} incr, p50", "µs"): ("trip", stores.incr_time, stores.raw_incr_time),
    Row("9", f"{STORE} change seen and one back, p50", "µs"): (
        *("trip", stores.watch_time, stores.raw_watch_time),
    ),
    Row("a", TEXT, RATE): ("text", sides.one_way, link.one_way),
    Row("b", f"{TRIP}, p50", "µs"): ("trip", sides.round_trip, link.round_trip),
    Row("c", f"{REQUEST}, p50", "µs"): ("trip", sides.request_trip, link.request_trip),
    Row("d", "queue, 100-byte str, to another node", RATE): (
        *("text", sides.queue_one_way, sides.raw_one_way),
    ),
}
NAMES: dict[Side, str] = {
    sides.raw_one_way: sides.RAW,
    sides.raw_round_trip: sides.RAW,
    sides.raw_round_trip_p99: sides.RAW,
    sides.raw_request_trip: sides.RAW_REQUEST,
    stores.raw_set_time: stores.RAW,
    stores.raw_get_time: stores.RAW,
    stores.raw_incr_time: stores.RAW,
    stores.raw_watch_time: stores.RAW,
    link.one_way: "local link",
    link.round_trip: "local link",
    link.request_trip: "local link",
}


def versions() -> dict[str, str]:
    """Return what is measured."""
    return {link.NAME: link.version(), **sides.versions()}


if __name__ == "__main__":
    about = "channels and the store between nodes beside nats-py and the local link, in one run"
    try:
        sys.exit(compare(about, ROWS, CLUSTER_WORK, NAMES, versions))
    except KeyboardInterrupt:
        sys.exit(130)
