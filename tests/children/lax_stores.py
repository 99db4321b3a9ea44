"""Stores that are wrong in one way each, under the work of the store's benchmark.

It runs where `benchmarks` is a folder.
"""

from __future__ import annotations

import sys
from collections import deque
from importlib import import_module
from typing import Any


class Sound(dict[str, Any]):
    def set(self, key: str, value: Any) -> None:
        self[key] = value

    async def async_set(self, key: str, value: Any) -> None:
        self.set(key, value)

    def incr(self, key: str) -> int:
        self[key] = self.get(key, 0) + 1
        return int(self[key])


class Stale(Sound):
    def set(self, key: str, value: Any) -> None:
        self.setdefault(key, value)


class Mixed(Sound):
    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key.replace("key1", "key0"), default)


class Lossy(Sound):
    seen = 0

    def incr(self, key: str) -> int:
        self.seen += 1
        return super().incr(key) if self.seen % 1000 else self[key] + 1


def check(store: Sound, name: str) -> str:
    """Return how the benchmark finds a store under this work."""
    benchmark: Any = import_module("store_work")
    work = benchmark.STORE_WORK[name]
    pool = work.make_pool()
    orders: deque[Any] = deque()
    lane = benchmark.Lane(orders.append, lambda: work.do(store, pool, orders.popleft()))
    try:
        assert benchmark.drive(store, [lane] * work.children, work, 0.05) > 0
    except AssertionError:
        return "wrong"
    return "right"


def main() -> None:
    sys.path.insert(0, "benchmarks")
    for name in import_module("store_work").STORE_WORK:
        print(name, *(check(kind(), name) for kind in (Sound, Stale, Mixed, Lossy)), sep=": ")
