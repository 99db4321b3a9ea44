"""The last entries of something that goes on: lines of the log, changes of state.

Ownership. A `Ring` owns its entries, and forgets the oldest when there are too many. Whoever fills
it never waits: one that reads too slowly is told how many entries it has missed.

Threads. Any thread may call everything. `listen` takes a call that must not wait: the thread that
adds an entry makes it.

Invariant: entries have consecutive numbers, beginning with 1, also those that are forgotten.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from time import time
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """One entry: its number, when it was added in seconds since 1970, and what it is."""

    number: int
    time: float
    item: T


class Ring(Generic[T]):
    """At most `most` entries, whose sizes together are at most `size`, or a single one."""

    def __init__(self, most: int, size: int) -> None:
        self._most = most
        self._size = size
        # Reentrant: an object that is collected while the lock is held may log on the same thread.
        self._lock = threading.RLock()
        self._entries: deque[Entry[T]] = deque()
        self._sizes: deque[int] = deque()
        self._total = 0
        self._last = 0
        self._listeners: list[Callable[[], object]] = []

    @property
    def last(self) -> int:
        """The number of the newest entry, 0 if there was none."""
        return self._last

    def add(self, items: Iterable[T], size_of: Callable[[T], int]) -> None:
        """Add entries, and forget the oldest where there are too many."""
        now = time()
        with self._lock:
            for item in items:
                self._last += 1
                size = size_of(item)
                self._entries.append(Entry(self._last, now, item))
                self._sizes.append(size)
                self._total += size
            while len(self._sizes) > self._most or (
                self._total > self._size and len(self._sizes) > 1
            ):
                self._entries.popleft()
                self._total -= self._sizes.popleft()
            listeners = self._listeners
        for call in listeners:
            call()

    def after(self, number: int, most: int | None = None) -> tuple[list[Entry[T]], int]:
        """Return the first entries after one, at most `most`, and how many are forgotten."""
        with self._lock:
            first = self._last - len(self._entries) + 1
            lost = max(0, first - number - 1)
            begin = max(0, number + 1 - first)
            end = None if most is None else begin + most
            return list(islice(self._entries, begin, end)), lost

    def listen(self, call: Callable[[], object]) -> None:
        """Have `call` called after entries were added, until `unlisten`."""
        with self._lock:
            self._listeners = [*self._listeners, call]

    def unlisten(self, call: Callable[[], object]) -> None:
        """Call it no more."""
        with self._lock:
            self._listeners = [other for other in self._listeners if other is not call]
