"""Memory that both processes of a link share: pieces of long messages lie in its slots.

Only Linux has what this needs. On other systems pieces go through the connection. The memory has no
name, so no other process can open it. It is gone with the last process that holds it.

Ownership. Each process owns its own descriptor and mapping, and closes them. It writes one half of
the slots and reads the other half. The `Link` decides when a slot may be written, and on which
thread.
"""

from __future__ import annotations

import mmap
import os
import sys

from ...errors import FrameError
from . import frames

SIZE = 2 * frames.CHUNK
"""Bytes of a slot. To copy this many bytes takes no longer than to send `CHUNK` bytes."""

COUNT = 16
"""Slots in each direction. The slot that was given back last is used first. So the system only
allocates memory for as many slots as are full at the same time."""


class Slots:
    """The shared memory as one of the two processes has it."""

    def __init__(self, file: int, half: int) -> None:
        self.file = file
        self._mapped = mapped(file, 2 * COUNT * SIZE)
        self._view = memoryview(self._mapped)
        self._mine, self._theirs = half * COUNT * SIZE, (1 - half) * COUNT * SIZE
        self._used: set[int] = set()

    def write(self, number: int, piece: memoryview) -> None:
        """Put a piece into one of this process's slots. Raises `OSError` if memory is short."""
        at = self._mine + number * SIZE
        if sys.platform == "linux" and number not in self._used:
            # A write for which the system has no memory would end the process.
            os.posix_fallocate(self.file, at, SIZE)
            self._used.add(number)
        self._view[at : at + len(piece)] = piece

    def read(self, number: int, place: memoryview) -> None:
        """Take a piece out of one of the other process's slots. Raises `FrameError`."""
        if len(place) > SIZE:
            raise FrameError(f"{len(place)} bytes don't fit in slot {number}")
        at = self._theirs + number * SIZE
        place[:] = self._view[at : at + len(place)]

    def close(self) -> None:
        """Close this process's descriptor and mapping. Idempotent."""
        file, self.file = self.file, -1
        if file >= 0:
            os.close(file)
            self._view.release()
            self._mapped.close()


def sealed(name: str, size: int) -> int:
    """Return the descriptor of fresh memory whose size nobody can change.

    Raises `OSError`, or `AttributeError` if the system has no such memory.
    """
    if sys.platform != "linux":
        raise AttributeError("only Linux has what this needs")
    import fcntl

    file = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(file, size)
        fcntl.fcntl(
            file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        )
    except OSError:
        os.close(file)
        raise
    return file


def mapped(file: int, size: int) -> mmap.mmap:
    """Return a mapping of a file. Raises `OSError`, after it has closed the descriptor."""
    try:
        return mmap.mmap(file, size)
    except OSError:
        os.close(file)
        raise


def shared() -> tuple[Slots, Slots] | None:
    """Return fresh shared memory as each of the two processes has it, or None without any."""
    try:
        ours = Slots(sealed("liteyuki-link", 2 * COUNT * SIZE), 0)
    except (AttributeError, OSError):
        return None
    try:
        return ours, Slots(os.dup(ours.file), 1)
    except OSError:
        ours.close()
        return None
