"""What one reader has not taken yet of something that goes on, whoever reads slowly.

Ownership. An `Unread` owns its items, and forgets the oldest when there are too many. Whoever fills
it never waits.

Threads. It has no lock: all its callers hold the same one.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Unread(Generic[T]):
    """Items that count at most `most` together and have at most `size` bytes, or a single one."""

    def __init__(self, most: int, size: int) -> None:
        self._most = most
        self._size = size
        self._items: deque[tuple[T, int, int]] = deque()
        self._count = 0
        self._bytes = 0
        self._lost = 0

    def add(self, item: T, count: int, size: int) -> None:
        """Add an item that counts `count` and has `size` bytes."""
        self._items.append((item, count, size))
        self._count += count
        self._bytes += size
        while len(self._items) > 1 and (self._count > self._most or self._bytes > self._size):
            self._lost += self._pop()[1]

    def take(self, most: int) -> tuple[list[T], int]:
        """Return the oldest items, and how much was forgotten before them.

        They count at most `most` together, but there is one if there is any.
        """
        lost, self._lost = self._lost, 0
        taken: list[T] = []
        while self._items and (not taken or self._items[0][1] <= most):
            item, count = self._pop()
            taken.append(item)
            most -= count
        return taken, lost

    def _pop(self) -> tuple[T, int]:
        item, count, size = self._items.popleft()
        self._count -= count
        self._bytes -= size
        return item, count
