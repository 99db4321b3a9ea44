"""Version cells: numbers in memory that the main process writes and all its children read.

Each key of the store belongs to one cell; a cell has many keys.

Invariant: a cell changes before any of its keys does. So a copy of a value is current while its
cell is what it was when the copy was made.

Ownership. Each process owns its mapping and the descriptor behind it, and closes both. The memory
has no name if the system allows that. A child is given a descriptor that can only be read.

Threads. The main process changes cells under the context's lock. Any thread may read `values`.

A child may misuse the memory. On Linux the memory is sealed. Nobody can make it shorter, which
would end each process that reads it. Since Linux 5.1, nobody can write it except through the
mapping that the main process made before the seal. If a child can write it, other processes may
take an old copy for a current one. The main process believes only its own numbers, and writes them
to the memory.
"""

from __future__ import annotations

import mmap
import os
import sys
from array import array
from typing import Any
from zlib import crc32

COUNT = 4096
_BYTES = 8 * COUNT

_SEAL_FUTURE_WRITE = 0x10
"""`F_SEAL_FUTURE_WRITE`, which Python does not name."""


class Cells:
    """One process's view of the version cells. `values` are 64-bit numbers."""

    _handle: Any

    def __init__(self) -> None:
        """Make fresh cells that this process can change. Raises `OSError`."""
        self._numbers = array("Q", bytes(_BYTES))
        if sys.platform == "win32":
            self._handle = f"liteyuki-{os.urandom(16).hex()}"
            self._map(self._handle, mmap.ACCESS_WRITE)
            return
        file, self._handle = _memory()
        try:
            self._map(file, mmap.ACCESS_WRITE)
            if sys.platform == "linux":
                _seal(file)
        except OSError:
            self.close()
            raise
        finally:
            os.close(file)

    def _map(self, handle: Any, access: int) -> None:
        if sys.platform == "win32":
            self._mapped = mmap.mmap(-1, _BYTES, tagname=handle, access=access)
        else:
            self._mapped = mmap.mmap(handle, _BYTES, access=access)
        self.values = memoryview(self._mapped).cast("Q")

    def change(self, key: str) -> None:
        """Change the cell of `key`: no copy of its keys is current now. In the main process."""
        at = cell_of(key)
        number = self._numbers[at] + 1
        self._numbers[at] = self.values[at] = number

    def number(self, key: str) -> int:
        """Return the number in the cell of `key`. In the main process."""
        return self._numbers[cell_of(key)]

    def reader(self) -> Cells:
        """Return another mapping of the same cells that can only be read."""
        other = Cells.__new__(Cells)
        other._handle = self._handle if sys.platform == "win32" else os.dup(self._handle)
        other._map(other._handle, mmap.ACCESS_READ)
        return other

    def close(self) -> None:
        """Close this mapping and its descriptor. Idempotent."""
        if self._handle is None:
            return
        if hasattr(self, "values"):
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
        self._map(self._handle, mmap.ACCESS_READ)


def _memory() -> tuple[int, int]:
    """Return two descriptors of fresh memory. The second is read-only if the system allows it."""
    if sys.platform == "linux":
        file = os.memfd_create("liteyuki-cells", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(file, _BYTES)
            try:
                return file, os.open(f"/proc/self/fd/{file}", os.O_RDONLY)
            except OSError:
                return file, os.dup(file)  # There is no /proc. The seals protect the memory.
        except OSError:
            os.close(file)
            raise
    import tempfile

    file, path = tempfile.mkstemp(prefix="liteyuki-cells-")
    try:
        os.ftruncate(file, _BYTES)
        return file, os.open(path, os.O_RDONLY)
    except OSError:
        os.close(file)
        raise
    finally:
        os.unlink(path)


def _seal(file: int) -> None:
    if sys.platform != "linux":
        return
    import fcntl

    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    try:
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals | _SEAL_FUTURE_WRITE)
    except OSError:
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)  # Linux before 5.1.


def cell_of(key: str) -> int:
    """Return the number of the cell of `key`."""
    return crc32(key.encode("utf-8", "surrogatepass")) % COUNT
