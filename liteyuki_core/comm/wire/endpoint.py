"""A private connection between two processes, and its ends before they are links."""

from __future__ import annotations

import socket
import sys
from typing import Any

from . import frames, slots
from .pieces import PIECE

_IN_KERNEL = frames.CHUNK - 2 * PIECE
"""Bytes that may wait in a connection that carries long messages. The kernel takes up to one piece
more, and one is being written: a small message goes behind `CHUNK` bytes of a long one at most."""


class Endpoint:
    """One end of a fresh private connection, before it becomes a `Link`.

    It can be handed to a process that multiprocessing is spawning, and to nothing else.
    """

    def __init__(self, connection: socket.socket, memory: slots.Slots | None = None) -> None:
        self.connection = connection
        self.memory = memory

    def close(self) -> None:
        """Close this end. Idempotent."""
        self.connection.close()
        if self.memory is not None:
            self.memory.close()

    def __getstate__(self) -> Any:
        from multiprocessing.context import assert_spawning, get_spawning_popen

        assert_spawning(self)
        popen: Any = get_spawning_popen()
        if sys.platform == "win32":
            return self.connection.share(popen.pid)
        memory = self.memory
        files = [self.connection.fileno(), *([] if memory is None else [memory.file])]
        return [popen.DupFd(popen.duplicate_for_child(file)) for file in files]

    def __setstate__(self, state: Any) -> None:
        if sys.platform == "win32":
            self.connection = socket.fromshare(state)
            self.memory = None
        else:
            connection, *memory = [file.detach() for file in state]
            self.connection = socket.socket(fileno=connection)
            self.memory = slots.Slots(memory[0], 1) if memory else None


def connection_pair() -> tuple[Endpoint, Endpoint]:
    """Return the two ends of a connection that nobody else holds."""
    ours, theirs = socket.socketpair()
    if ours.family in (socket.AF_INET, socket.AF_INET6):
        # Windows makes a pair out of a loopback listener: be sure nobody else got in.
        for one, other in ((ours, theirs), (theirs, ours)):
            if one.getsockname() != other.getpeername():
                ours.close()
                theirs.close()
                raise ConnectionError("a stranger connected to a private socket pair")
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    memory = slots.shared() or (None, None)
    size = _IN_KERNEL if memory[0] is None else 8 * frames.CHUNK
    for end in (ours, theirs):
        # Linux takes twice what it is told.
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size >> (sys.platform == "linux"))
    return Endpoint(ours, memory[0]), Endpoint(theirs, memory[1])
