"""What `get` finds without asking: in a child its copies, in the main process the table itself.

Invariant: a copy is current while its cell is what it was when the main process made the copy. The
main process changes the cell before it changes the key.

Threads. Any thread may call it. `found` is read without a lock. Everything else of `Copies` is
guarded by a lock of its own. `Copies` owns its mapping of the cells and closes it.
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
"""The cells; the number of the key's cell; what that cell was; what was found; and a function that
makes the value of it. None in place of the function says that what was found is the value."""

_OVERHEAD = 300
"""About how many bytes a copy takes in addition to its key and value."""

ABSENT: Any = object()
"""In place of the function: there is no such key."""


_CURRENT = memoryview(b"\x01")
"""In place of the cells: what was found is always current."""


class Lookup(Protocol):
    """Finds what is at a key without asking."""

    def __getitem__(self, key: str, /) -> Copy:
        """Return what was found. Raises `KeyError` if the store must be asked."""


class Stale(Exception):
    """The copy has expired."""


class Originals:
    """The table of the main process, for keys that do not expire. From any thread."""

    def __init__(self, entries: dict[str, Entry]) -> None:
        self._entries = entries

    @property
    def found(self) -> Lookup:
        """The lookup of keys: this object itself."""
        return self

    def __getitem__(self, key: str, /) -> Copy:
        entry = self._entries[key]
        if entry.deadline is not None:
            raise KeyError(key)
        return _CURRENT, 0, 1, entry.value, values.load

    def keep(self, key: str, cell: int | None, deadline: float | None, value: Value | None) -> None:
        """Keep nothing: everything is in the table."""

    def close(self) -> None:
        """Find nothing any more."""
        self._entries = {}


class Copies:
    """The copies of a child, up to `limit` bytes. The oldest is dropped first. From any thread."""

    def __init__(self, cells: Cells | None, limit: int) -> None:
        self.found: dict[str, Copy] = {}
        self._sizes: dict[str, int] = {}
        self._cells = cells
        self._limit = limit
        self._size = 0
        self._lock = threading.Lock()

    def keep(self, key: str, cell: int | None, deadline: float | None, value: Value | None) -> None:
        """Keep what the store answered when the key's cell was `cell`, unless it is too big.

        `value` None says that there is no such key.
        """
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
                return  # A child has forged it. Each `get` of the key raises the error anew.
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
        """Drop all copies and close the cells."""
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
