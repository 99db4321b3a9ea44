"""What `get` finds without asking: a child's copies of what it has read, main's own table.

A copy is current while its cell is what it was when the main process made the copy: the main
process changes the cell first. `found` is read without a lock, from any thread; everything else of
the copies is under one. The main process has the originals, and looks them up in the same way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from . import value as values
from .cells import Cells, cell_of
from .value import Value

if TYPE_CHECKING:  # A child does not import the table.
    from .table import Entry

Copy = tuple[memoryview, int, int, Any, Callable[[Any], Any] | None]
"""The cells, the key's cell, what that was, what was found, and what makes the value of it: None
where that is the value."""

_OVERHEAD = 300
"""Bytes that a copy takes besides its key and value, about."""

ABSENT: Any = object()
"""Found where there is no such key."""


_CURRENT = memoryview(b"\x01")
"""Stands for the cells where what is found is always current."""


class Lookup(Protocol):
    """Finds what is at a key without asking."""

    def __getitem__(self, key: str, /) -> Copy:
        """Return what was found. Raises `KeyError` where one has to ask."""


class Stale(Exception):
    """The copy has expired."""


class Originals:
    """The main process's own table, for keys that do not expire. From any thread."""

    def __init__(self, entries: dict[str, Entry]) -> None:
        self._entries = entries

    @property
    def found(self) -> Lookup:
        """What finds a key's value."""
        return self

    def __getitem__(self, key: str, /) -> Copy:
        entry = self._entries[key]
        if entry.deadline is not None:
            raise KeyError(key)
        return _CURRENT, 0, 1, entry.value, values.load

    def keep(self, key: str, cell: int | None, deadline: float | None, value: Value | None) -> None:
        """Keep nothing: it is all there."""

    def close(self) -> None:
        """Find nothing any more."""
        self._entries = {}


class Copies:
    """What a child keeps, up to `limit` bytes; the oldest is let go of first. From any thread."""

    def __init__(self, cells: Cells | None, limit: int) -> None:
        self.found: dict[str, Copy] = {}
        self._sizes: dict[str, int] = {}
        self._cells = cells
        self._limit = limit
        self._size = 0
        self._lock = threading.Lock()

    def keep(self, key: str, cell: int | None, deadline: float | None, value: Value | None) -> None:
        """Keep what was found as `cell` stood, unless it is too big."""
        size = len(key) + _OVERHEAD + (0 if value is None else len(value.data))
        cells = self._cells
        if cells is None or cell is None:
            return
        found: Any = value
        load: Callable[[Any], Any] | None = values.load
        if value is None:
            found, load = None, ABSENT
        elif deadline is not None:
            found, load = (deadline, value), _load_until
        elif value.kind != values.PICKLE:
            try:
                found, load = values.load(value), None
            except Exception:
                return  # A child has made it up. Whoever gets it learns so, each time.
        with self._lock:
            self._forget(key)
            if size > self._limit:
                return
            self.found[key] = (cells.values, cell_of(key), cell, found, load)
            self._sizes[key] = size
            self._size += size
            while self._size > self._limit:
                self._forget(next(iter(self._sizes)))

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            self.found.clear()
            self._sizes.clear()
            cells, self._cells = self._cells, None
        if cells is not None:
            cells.close()

    def _forget(self, key: str) -> None:
        size = self._sizes.pop(key, None)
        if size is not None:
            del self.found[key]
            self._size -= size


def _load_until(found: tuple[float, Value]) -> Any:
    deadline, value = found
    if monotonic() >= deadline:
        raise Stale
    return values.load(value)
