"""A private connection between two processes, and its two ends before these become links.

An `Endpoint` owns its end of the connection and its part of the shared memory, until a `Link` is
made of it. From then on the link owns both.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

from . import frames, slots
from .pieces import PIECE

_IN_KERNEL = frames.CHUNK - 2 * PIECE
"""Bytes that the kernel buffers of a connection that carries long messages. The kernel takes up to
one more piece, and one piece is being written. So a small message waits behind at most `CHUNK`
bytes of a long one."""


class Endpoint:
    """One end of a fresh private connection, before it becomes a `Link`.

    It can be pickled only for a process that multiprocessing is spawning.
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
    """Return the two ends of a connection that no other process holds."""
    ours, theirs = socket.socketpair()
    if ours.family in (socket.AF_INET, socket.AF_INET6):
        # Windows makes the pair with a loopback listener: check that no stranger has connected.
        for one, other in ((ours, theirs), (theirs, ours)):
            if one.getsockname() != other.getpeername():
                ours.close()
                theirs.close()
                raise ConnectionError("a stranger connected to a private socket pair")
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    memory = slots.shared() or (None, None)
    size = _IN_KERNEL if memory[0] is None else 8 * frames.CHUNK
    for end in (ours, theirs):
        # Linux doubles the size that it is given.
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size >> (sys.platform == "linux"))
    return Endpoint(ours, memory[0]), Endpoint(theirs, memory[1])
