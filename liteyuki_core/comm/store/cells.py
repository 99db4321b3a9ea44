"""Version cells and slots: memory that the main process writes and all its children read.

Each key of the store belongs to one cell, a number; a cell has many keys. Beside each cell is a
slot. It has the value of the key of that cell that was changed last, if the value is short.

Invariants.
- A cell changes before any of its keys does. So a copy of a value is current while its cell is what
  it was when the copy was made.
- A change goes in this order: the cell becomes odd, the key changes, its slot is written, the cell
  becomes even. A cell never has the same number twice.
- So if a cell has the same even number before and after its slot was read, the slot was whole, and
  it has what its key was at that moment. Whoever finds an odd number asks the main process. The
  cell stays odd if the value is too long, or if the main process is killed in the middle.
- Nobody waits for a cell. Readers write nothing.

Slots rely on x86-64: another process sees writes in the order in which they were made. They also
rely on memory that is allocated before it is written. A write for which there is no memory would
end the main process. Where the architecture or the system does not have this, all cells stay odd.

Ownership. Each process owns its mapping and the descriptors behind it, and closes them. The memory
has no name if the system allows that. A child is given a descriptor that can only be read.

Threads. The main process changes cells and slots under the context's lock. Any thread may read
`values`, and call `read`.

A child may misuse the memory. On Linux the memory is sealed. Nobody can make it shorter, which
would end each process that reads it. Since Linux 5.1, nobody can write it except through the
mapping that the main process made before the seal. If a child can write it, other processes may
take an old copy for a current one, or what that child wrote for a value. The main process believes
only its own numbers, and reads no slot.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
from typing import Any
from zlib import crc32

from .value import Value

COUNT = 4096
_NUMBERS_BYTES = 8 * COUNT

SLOT_BYTES = 1280
"""Bytes of a slot: enough for a value of 1 kB, its key and what else is known of them."""

if sys.platform == "linux":
    HAS_SLOTS = os.uname().machine == "x86_64"
else:
    # On Windows the version of Python names what it was built for.
    HAS_SLOTS = sys.platform == "win32" and "AMD64" in sys.version

SIZE = _NUMBERS_BYTES + COUNT * SLOT_BYTES * HAS_SLOTS
"""Bytes of the memory. Linux allocates only those that are used."""

_HEAD = struct.Struct("<dHHB")
"""The head of a slot: the deadline, the lengths of key and value, the kind of the value. The key
and the value follow."""

_NEVER = float("inf")
_NO_VALUE = Value("-", b"")
_ABSENT = ord("-")
"""In place of the kind: there is no such key."""

_SEAL_FUTURE_WRITE = 0x10
"""`F_SEAL_FUTURE_WRITE`, which Python does not name."""


Place = tuple[int, int, bytes]
"""The number of a key's cell, what is in that cell, and the key's bytes."""

Found = tuple[int, int, float | None, tuple[str, bytes] | None]
"""The number of a key's cell; what is in that cell; when the key expires; its value, None if there
is no such key."""


class Cells:
    """One process's view of the version cells and the slots. `values` are 64-bit numbers."""

    _handle: Any
    _file: int | None = None
    """The descriptor to allocate memory with. Only the main process on Linux has it."""

    def __init__(self) -> None:
        """Make fresh cells that this process can change. Raises `OSError`."""
        self._numbers = [0] * COUNT
        self._allocated = bytearray(COUNT)
        if sys.platform == "win32":
            self._handle = f"liteyuki-{os.urandom(16).hex()}"
            self._map(self._handle, mmap.ACCESS_WRITE)
            return
        self._file, self._handle = _memory()
        try:
            self._map(self._file, mmap.ACCESS_WRITE)
            if sys.platform == "linux":
                _seal(self._file)
        except OSError:
            self.close()
            raise
        if not HAS_SLOTS:
            os.close(self._file)
            self._file = None

    def _map(self, handle: Any, access: int) -> None:
        if sys.platform == "win32":
            self._mapped = mmap.mmap(-1, SIZE, tagname=handle, access=access)
        else:
            self._mapped = mmap.mmap(handle, SIZE, access=access)
        self.values = memoryview(self._mapped)[:_NUMBERS_BYTES].cast("Q")

    def change(self, key: str) -> Place:
        """Change the cell of `key`; return where it is. In the main process.

        No copy and no slot of the cell's keys is current now.
        """
        name = key.encode("utf-8", "surrogatepass")
        at = crc32(name) % COUNT
        number = self._numbers[at] = self.values[at] = (self._numbers[at] + 1) | 1
        return at, number, name

    def write(self, place: Place, deadline: float | None, value: Value | None) -> None:
        """Write what a key is now into the slot of its cell, if it fits. In the main process.

        `place` is what `change` has returned. `value` None says that there is no such key.
        """
        at, number, name = place
        kind, data = _NO_VALUE if value is None else value
        size = _HEAD.size + len(name) + len(data)
        if size > SLOT_BYTES or not (self._allocated[at] or self._allocate(at)):
            return
        until = _NEVER if deadline is None else deadline
        start = _NUMBERS_BYTES + at * SLOT_BYTES
        self._mapped[start : start + size] = b"".join(
            (_HEAD.pack(until, len(name), len(data), ord(kind)), name, data)
        )
        self._numbers[at] = self.values[at] = number + 1

    def read(self, key: str) -> Found | None:
        """Return what the slot of the cell of `key` has, if it is `key` as it is now.

        Returns None if it is not. Raises `ValueError` after `close`.
        """
        name = key.encode("utf-8", "surrogatepass")
        at = crc32(name) % COUNT
        number = self.values[at]
        if number & 1 or not number:
            return None
        start = _NUMBERS_BYTES + at * SLOT_BYTES
        slot = self._mapped[start : start + SLOT_BYTES]
        if self.values[at] != number:
            return None
        until, length, size, kind = _HEAD.unpack_from(slot)
        if length != len(name) or not slot.startswith(name, _HEAD.size):
            return None
        deadline = None if until == _NEVER else until
        if kind == _ABSENT:
            return at, number, deadline, None
        begin = _HEAD.size + length
        return at, number, deadline, (chr(kind), slot[begin : begin + size])

    def _allocate(self, at: int) -> bool:
        if not HAS_SLOTS:
            return False
        if sys.platform == "linux":
            assert self._file is not None
            # A write for which the system has no memory would end the process.
            try:
                os.posix_fallocate(self._file, _NUMBERS_BYTES + at * SLOT_BYTES, SLOT_BYTES)
            except OSError:
                return False
        self._allocated[at] = True
        return True

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
        """Close this mapping and its descriptors. Idempotent."""
        if self._handle is None:
            return
        if hasattr(self, "values"):
            self.values.release()
            self._mapped.close()
        if sys.platform != "win32":
            os.close(self._handle)
            if self._file is not None:
                os.close(self._file)
        self._handle = self._file = None

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
            os.ftruncate(file, SIZE)
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
        os.ftruncate(file, SIZE)
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
