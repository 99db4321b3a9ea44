"""What `get` finds without asking: in a child its copies, in the main process the table itself.

If a copy is not current, the child looks into the slot of the key, see `cells.py`. Only if the slot
does not have the key must the store be asked.

Invariant: a copy is current while its cell is what it was when the main process gave what it was
made of. The main process changes the cell before it changes the key.

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
    from .truth import Entry

Copy = tuple[memoryview, int, int, Any, Callable[[Any], Any] | None]
"""The cells; the number of the key's cell; what that cell was; what was found; and a function that
makes the value of it. None in place of the function says that what was found is the value."""

_OVERHEAD = 300
"""About how many bytes a copy takes in addition to its key and value."""

ABSENT: Any = object()
"""In place of the function: there is no such key."""

ASK: Any = object()
"""In place of a value: the store must be asked."""

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

    def read(self, key: str, default: Any) -> Any:
        """Return `ASK`: what is not found in the table must be asked for."""
        return ASK

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

    def read(self, key: str, default: Any) -> Any:
        """Return the value of `key` as its slot has it, and keep a copy of it.

        Returns `default` if there is no such key, and `ASK` if the slot does not tell. Raises
        `StoreError` if the value can't be rebuilt.
        """
        cells = self._cells
        try:
            read = None if cells is None else cells.read(key)
        except ValueError:
            read = None  # The cells were closed meanwhile.
        if cells is None or read is None:
            return ASK
        at, cell, deadline, value = read
        if deadline is not None and monotonic() >= deadline:
            return ASK
        copy = self._keep(key, (cells.values, at, cell), deadline, value)
        if value is None:
            return default
        if copy is not None and copy[4] is None:
            return copy[3]
        return values.rebuild(value, key)

    def keep(self, key: str, cell: int | None, deadline: float | None, value: Value | None) -> None:
        """Keep what the store answered when the key's cell was `cell`, unless it is too big.

        `value` None says that there is no such key.
        """
        cells = self._cells
        if cells is not None and cell is not None:
            self._keep(key, (cells.values, cell_of(key), cell), deadline, value)

    def _keep(
        self,
        key: str,
        current: tuple[memoryview, int, int],
        deadline: float | None,
        value: tuple[str, bytes] | None,
    ) -> Copy | None:
        """Keep a copy unless it is too big; return it. Returns None if it can't be rebuilt."""
        size = len(key) + _OVERHEAD
        copy: Copy
        if value is None:
            copy = (*current, None, ABSENT)
        else:
            kind, data = value
            size += len(data)
            if deadline is not None:
                copy = (*current, (deadline, value), _load_until)
            elif kind == values.PICKLE:
                copy = (*current, value, values.load)
            else:
                try:
                    copy = (*current, values.load(value), None)
                except Exception:
                    return None  # A child has forged it. Each `get` raises the error anew.
        with self._lock:
            self._size += size - self._sizes.pop(key, 0)
            self._sizes[key] = size
            self.found[key] = copy
            while self._size > self._limit:
                self._forget(key if size > self._limit else next(iter(self._sizes)))
        return copy

    def close(self) -> None:
        """Drop all copies and close the cells."""
        with self._lock:
            self.found.clear()
            self._sizes.clear()
            cells, self._cells = self._cells, None
        if cells is not None:
            cells.close()

    def _forget(self, key: str) -> None:
        self._size -= self._sizes.pop(key, 0)
        self.found.pop(key, None)


def _load_until(found: tuple[float, tuple[str, bytes]]) -> Any:
    deadline, value = found
    if monotonic() >= deadline:
        raise Stale
    return values.load(value)
