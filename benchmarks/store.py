"""Measure the shared store side by side with its peers, in one run.

`python benchmarks/store.py` prints the table; `--help` tells the options, README.md what each
row is. Exits with 1 when something could not be measured or a value was wrong.
"""

from __future__ import annotations

import sys

import side_shared_memory as ours
import side_stores as stores
import side_v6 as v6
from comparison import Rows, Side, compare
from store_work import STORE_WORK
from table import Row

GET = "get, 100-byte str, unchanged"
CHANGED = "get, 100-byte str, just changed"
BLOCK = "get, 1 MB bytes, unchanged"
TABLE = "get, dict of 100, unchanged"
SET = "set, 100-byte str"
ASYNC_SET = "async_set, 100-byte str, one at a time"
INCR = "incr, 1 child"
INCR_4 = "incr, 4 children together"
RATE = "ops/s"
ROWS: Rows = {
    Row("1", GET, RATE, 50, 200): ("get", ours.measure, stores.manager),
    Row("a", GET, RATE): ("get", ours.measure, stores.diskcache),
    Row("b", GET, RATE): ("get", ours.measure, stores.redis),
    Row("c", GET, RATE): ("get", ours.measure, v6.store),
    Row("2", CHANGED, RATE, 3, 10): ("changed", ours.measure, stores.manager),
    Row("d", CHANGED, RATE): ("changed", ours.measure, stores.diskcache),
    Row("e", CHANGED, RATE): ("changed", ours.measure, stores.redis),
    Row("3", BLOCK, RATE): ("block", ours.measure, stores.manager),
    Row("f", BLOCK, RATE): ("block", ours.measure, stores.diskcache),
    Row("g", BLOCK, RATE): ("block", ours.measure, stores.redis),
    Row("4", TABLE, RATE): ("table", ours.measure, stores.manager),
    Row("h", TABLE, RATE): ("table", ours.measure, stores.diskcache),
    Row("i", TABLE, RATE): ("table", ours.measure, stores.redis),
    Row("5", SET, RATE): ("set", ours.measure, stores.manager),
    Row("j", SET, RATE): ("set", ours.measure, stores.diskcache),
    Row("k", SET, RATE, 1, 2): ("set", ours.measure, stores.redis),
    Row("l", SET, RATE): ("set", ours.measure, v6.store),
    Row("6", INCR, RATE): ("incr", ours.measure, stores.manager),
    Row("m", INCR, RATE): ("incr", ours.measure, stores.diskcache),
    Row("n", INCR, RATE, 1, 2): ("incr", ours.measure, stores.redis),
    Row("7", INCR_4, RATE): ("incr by 4", ours.measure, stores.manager),
    Row("o", INCR_4, RATE): ("incr by 4", ours.measure, stores.diskcache),
    Row("p", INCR_4, RATE, 0.5, 0.7): ("incr by 4", ours.measure, stores.redis),
    Row("8", ASYNC_SET, RATE, 1, 2): ("async set", ours.measure, stores.redis),
}
NAMES: dict[Side, str] = {
    stores.manager: stores.MANAGER,
    stores.diskcache: stores.DISKCACHE,
    stores.redis: stores.REDIS,
    v6.store: v6.NAME,
}


def versions() -> dict[str, str]:
    """Return what is measured."""
    return {ours.NAME: ours.version(), **stores.versions(), v6.NAME: v6.version()}


if __name__ == "__main__":
    about = "the shared store beside its peers, in one run"
    try:
        sys.exit(compare(about, ROWS, STORE_WORK, NAMES, versions))
    except KeyboardInterrupt:
        sys.exit(130)
