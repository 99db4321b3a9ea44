"""Listening sockets that outlive the process that accepts from them: the main process's side.

Ownership. The main process binds the sockets and keeps them while their child is restarted. A
client that connects meanwhile waits in the kernel's queue for the successor. Each process of the
child has copies. It gets them over a socket pair, because descriptors can't cross the link, and
closes them when it is to accept no more. The port is closed when main has closed its own too.

Invariants: a child has the sockets of one address at most. If it asks for that address again, it
gets the same sockets. Main keeps none for a child that will not run again: clients are refused.
On Windows each child binds its own sockets.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from ..comm.wire.endpoint import Endpoint

_MOST_ASKING = 8
"""So many questions of one child are answered at a time. It may have given up some of them."""

Run = Callable[[Callable[[], list[socket.socket]]], Awaitable[list[socket.socket]]]


class Listening:
    """The main process's side of one child's listening sockets. On LiteyukiBot's loop only.

    `close` closes the sockets. They are passed to a process of the child over a socket pair, the
    "way": `way_pair` makes one for each process, `use_way` begins to answer over it, `close_way`
    closes this side of it.
    """

    def __init__(self) -> None:
        self._address: tuple[str, int] | None = None
        self._sockets: list[socket.socket] = []
        self._way: socket.socket | None = None
        self._asking = 0

    def use_way(self, way: socket.socket | None) -> None:
        """Answer over this way from now on: the process at its other side is the child's."""
        self.close_way()
        self._way = way

    def close_way(self) -> None:
        """Close this side of the way. Idempotent."""
        if self._way is not None:
            self._way.close()
            self._way = None

    def close(self) -> None:
        """Close the sockets. Idempotent."""
        for sock in self._sockets:
            sock.close()
        self._address, self._sockets = None, []

    async def asked(self, host: str, port: int, backlog: int, run: Run) -> None:
        """Pass the sockets of an address to the child, or the reason why there are none.

        Binds them if the child has others or none. `run` calls a function in a worker thread,
        because to look up a host name may take long.
        """
        way = self._way
        if way is None or self._asking >= _MOST_ASKING:
            return
        self._asking += 1
        try:
            await self._answer(way, host, port, backlog, run)
        finally:
            self._asking -= 1

    async def _answer(
        self, way: socket.socket, host: str, port: int, backlog: int, run: Run
    ) -> None:
        if (host, port) != self._address:
            self.close()
            try:
                bound = await run(lambda: bind(host, port, backlog))
            except (OSError, OverflowError, ValueError) as error:  # Also for a NUL in a name.
                code = getattr(error, "errno", errno.EINVAL)
                text = getattr(error, "strerror", None) or str(error)
                _pass(way, {"code": code, "text": text}, [])
                return
            self.close()
            self._address, self._sockets = (host, port), bound
            if way is not self._way:
                self.close()  # The asking process is gone. Its successor asks again.
        if way is self._way:
            _pass(way, {}, self._sockets)


def way_pair() -> tuple[socket.socket, Endpoint] | tuple[None, None]:
    """Return both sides of a way for a new process; None if it is to bind its own sockets."""
    if sys.platform == "win32":
        return None, None
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return ours, Endpoint(theirs)


def _pass(way: socket.socket, answer: dict[str, Any], sockets: list[socket.socket]) -> None:
    if sys.platform == "win32":
        return
    try:
        socket.send_fds(way, [json.dumps(answer).encode()], [sock.fileno() for sock in sockets])
    except OSError:
        pass  # The child is gone.


def bind(host: str, port: int, backlog: int) -> list[socket.socket]:
    """Return sockets that listen on every address of `host`, as asyncio's servers do.

    "" means every interface. Port 0 means a free port, the same for all addresses. Waits for the
    name service. Raises `OSError`, and `OverflowError` or `ValueError` for an invalid address.
    """
    bound: list[socket.socket] = []
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    missing: OSError | None = None
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                sock = socket.socket(family, kind, protocol)
            except OSError as error:
                missing = error  # This machine does not have that kind of address.
                continue
            bound.append(sock)
            if os.name == "posix":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            host_part, port_part, *rest = address
            try:
                sock.bind((host_part, port or port_part, *rest))
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL:
                    raise
                missing = error
                bound.pop().close()
                continue
            sock.listen(backlog)
            port = port or sock.getsockname()[1]
    except BaseException:
        for sock in bound:
            sock.close()
        raise
    if not bound:
        raise missing or OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    return bound
