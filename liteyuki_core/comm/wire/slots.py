"""Memory that both ends of a link share: pieces of long messages lie in its slots.

Linux alone has what this needs; elsewhere pieces go through the connection. The memory has no
name, so nobody else can come by it, and it is gone with the last process that holds it.

Ownership. Each end owns a descriptor of its own and closes it. It writes one half of the slots
and reads the other; who may write which slot when is the `Link`'s business.
"""

from __future__ import annotations

import mmap
import os
import sys

from ...errors import FrameError
from . import frames

SIZE = 2 * frames.CHUNK
"""Bytes of a slot. To copy so many takes no longer than to send `CHUNK` bytes."""

COUNT = 16
"""Slots in each direction. The last one given back is the first one used again, so that memory
is taken only for as many as are full at the same time."""


class Slots:
    """One end of the shared memory."""

    def __init__(self, file: int, half: int) -> None:
        self.file = file
        self._mapped = mapped(file, 2 * COUNT * SIZE)
        self._view = memoryview(self._mapped)
        self._mine, self._theirs = half * COUNT * SIZE, (1 - half) * COUNT * SIZE
        self._used: set[int] = set()

    def write(self, number: int, piece: memoryview) -> None:
        """Put a piece into one of this end's slots. Raises `OSError` where memory is short."""
        at = self._mine + number * SIZE
        if sys.platform == "linux" and number not in self._used:
            # To write where no memory can be had would end the process.
            os.posix_fallocate(self.file, at, SIZE)
            self._used.add(number)
        self._view[at : at + len(piece)] = piece

    def read(self, number: int, place: memoryview) -> None:
        """Take a piece out of one of the other end's slots. Raises `FrameError`."""
        if len(place) > SIZE:
            raise FrameError(f"{len(place)} bytes don't fit in slot {number}")
        at = self._theirs + number * SIZE
        place[:] = self._view[at : at + len(place)]

    def close(self) -> None:
        """Let go of this end's descriptor and mapping. Idempotent."""
        file, self.file = self.file, -1
        if file >= 0:
            os.close(file)
            self._view.release()
            self._mapped.close()


def sealed(name: str, size: int) -> int:
    """Return the descriptor of fresh memory whose size stays, under whoever reads it.

    Raises `OSError`, or `AttributeError` where the system has none.
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
    """Return a mapping of it. Raises `OSError`, and has closed the descriptor then."""
    try:
        return mmap.mmap(file, size)
    except OSError:
        os.close(file)
        raise


def shared() -> tuple[Slots, Slots] | None:
    """Return both ends of fresh shared memory, or None where there is none to be had."""
    try:
        ours = Slots(sealed("liteyuki-link", 2 * COUNT * SIZE), 0)
    except (AttributeError, OSError):
        return None
    try:
        return ours, Slots(os.dup(ours.file), 1)
    except OSError:
        ours.close()
        return None
