"""Memory that both ends of a link share: pieces of long messages lie in its slots.

Linux alone has what this needs; elsewhere pieces go through the connection. The memory has no
name, so nobody else can come by it, and it is gone with the last process that holds it.

Ownership. Each end owns a descriptor of its own and closes it. It writes one half of the slots
and reads the other; who may write which slot when is the `Link`'s business.
"""

from __future__ import annotations

import os
import sys

from ..errors import FrameError
from . import frames

SIZE = 2 * frames.CHUNK
"""Bytes of a slot. To copy so many takes no longer than to send `CHUNK` bytes."""

COUNT = 16
"""Slots in each direction. The last one given back is the first one used again, so that memory
is taken only for as many as are full at the same time."""


class Slots:
    """One end of the shared memory.

    It is read and written by system calls, not mapped: while those copy, other threads run, and
    a small message does not wait for the interpreter.
    """

    def __init__(self, file: int, half: int) -> None:
        self.file = file
        self._mine, self._theirs = half * COUNT * SIZE, (1 - half) * COUNT * SIZE

    def write(self, number: int, piece: memoryview) -> None:
        """Put a piece into one of this end's slots. Raises `OSError` where memory is short."""
        if os.pwrite(self.file, piece, self._mine + number * SIZE) != len(piece):
            raise OSError("not all of a piece was written")

    def read(self, number: int, place: memoryview) -> None:
        """Take a piece out of one of the other end's slots. Raises `FrameError`."""
        at = self._theirs + number * SIZE
        if len(place) > SIZE or os.preadv(self.file, [place], at) != len(place):
            raise FrameError(f"there are no {len(place)} bytes in slot {number}")

    def close(self) -> None:
        """Close this end's descriptor. Idempotent."""
        file, self.file = self.file, -1
        if file >= 0:
            os.close(file)


def shared() -> tuple[Slots, Slots] | None:
    """Return both ends of fresh shared memory, or None where there is none to be had."""
    if sys.platform != "linux":
        return None
    try:
        file = os.memfd_create("liteyuki-link")
        return Slots(file, 0), Slots(os.dup(file), 1)
    except (AttributeError, OSError):
        return None
