"""Version cells: numbers in memory that the main process writes and all its children read.

A cell stands for all keys of the store that fall on it. It changes before one of them does, so a
copy of a value is current for as long as its cell is what it was when the copy was made.

Ownership. Each process owns its mapping, and the descriptor behind it, and closes them. Only the
main process's mapping can be written. The memory has no name where the system can do without.
"""

from __future__ import annotations

import mmap
import os
import sys
from typing import Any
from zlib import crc32

COUNT = 4096
_BYTES = 8 * COUNT


class Cells:
    """One process's view of the version cells. `values` are 64-bit numbers."""

    _handle: Any

    def __init__(self) -> None:
        """Make fresh ones, to be written. Raises `OSError`."""
        if sys.platform == "win32":
            self._handle = f"liteyuki-{os.urandom(16).hex()}"
        elif sys.platform == "linux":
            self._handle = os.memfd_create("liteyuki-cells", os.MFD_CLOEXEC)
        else:
            import tempfile

            with tempfile.TemporaryFile() as file:
                self._handle = os.dup(file.fileno())
        if sys.platform != "win32":
            os.ftruncate(self._handle, _BYTES)
        self._map(writes=True)

    def _map(self, *, writes: bool) -> None:
        access = mmap.ACCESS_WRITE if writes else mmap.ACCESS_READ
        if sys.platform == "win32":
            self._mapped = mmap.mmap(-1, _BYTES, tagname=self._handle, access=access)
        else:
            self._mapped = mmap.mmap(self._handle, _BYTES, access=access)
        self.values = memoryview(self._mapped).cast("Q")

    def reader(self) -> Cells:
        """Return another mapping of the same cells that can only be read."""
        other = Cells.__new__(Cells)
        other._handle = self._handle if sys.platform == "win32" else os.dup(self._handle)
        other._map(writes=False)
        return other

    def close(self) -> None:
        """Let go of this mapping. Idempotent."""
        if self._handle is None:
            return
        self.values.release()
        self._mapped.close()
        if sys.platform != "win32":
            os.close(self._handle)
        self._handle = None

    def __getstate__(self) -> Any:
        from multiprocessing.context import assert_spawning, get_spawning_popen

        assert_spawning(self)
        if sys.platform == "win32":
            return self._handle
        popen: Any = get_spawning_popen()
        return popen.DupFd(popen.duplicate_for_child(self._handle))

    def __setstate__(self, state: Any) -> None:
        self._handle = state if sys.platform == "win32" else state.detach()
        self._map(writes=False)


def cell_of(key: str) -> int:
    """Return the number of the cell that `key` falls on."""
    return crc32(key.encode("utf-8", "surrogatepass")) % COUNT
