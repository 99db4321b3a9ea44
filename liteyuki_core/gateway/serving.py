"""What a gateway serves: the address of one child and its replicas, and all connections to it.

Ownership. A `Serving` owns the children's parts and the server, which listens from the first start
of a child until all are stopped or given up. Each request and each WebSocket runs in a task of the
server's.

Threads. The gateway's loop calls everything. Before that loop runs, LiteyukiBot's loop does.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from .. import log
from ..process.state import ProcessState
from .child import Child
from .exchange import Begun, Listen, Listening, Up
from .http import Receive, Request, Send, unavailable
from .kept import KeptWebSocket, key_of
from .onebot import of_adapter
from .websocket import DENIAL, PlainWebSocket

_LEAVE_SECONDS = 0.2, 1.0
"""So long a client that connects anew waits for its last connection to end. The first is for one
that does not say who it is, so that any other may have been its own."""


class Serving:
    """Serves an address, and passes what comes to the children."""

    def __init__(self, children: Sequence[Child]) -> None:
        self._children = {child.process: child for child in children}
        self._address: Listen | None = None
        self._sockets: list[socket.socket] = []
        self.new_server: Callable[..., Any]
        """The class of `server.py`, which imports uvicorn. It is set before a child is up."""
        self._server: Any = None
        self._closing: set[asyncio.Task[None]] = set()
        self._kept: set[KeptWebSocket] = set()

    def state(self, process: str, state: ProcessState) -> None:
        """Learn that a child has a new state."""
        self._children[process].state(state)
        if all(child.is_over for child in self._children.values()):
            self._stop_serving()

    def has_begun(self, process: str, told: Begun) -> None:
        """Learn that the answer to an HTTP request has begun."""
        self._children[process].has_begun(told)

    async def close(self) -> None:
        """Close all connections and the sockets. Idempotent."""
        for child in self._children.values():
            child.state(ProcessState.STOPPED)
        self._stop_serving()
        await self._until_closed()

    def _stop_serving(self) -> None:
        server, self._server = self._server, None
        sockets, self._sockets, self._address = self._sockets, [], None
        for sock in sockets:
            sock.close()
        if server is not None:
            task = asyncio.get_running_loop().create_task(server.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _until_closed(self) -> None:
        if self._closing:
            await asyncio.wait(set(self._closing))

    # ------------------------------------------------------------- from a child

    async def leave(self, wanted: Listen) -> bool:
        """Stop listening elsewhere than at `wanted`. Return whether nothing listens there."""
        if wanted == self._address:
            return False
        self._stop_serving()
        await self._until_closed()
        return True

    async def listen(self, at: Listen, sockets: list[socket.socket]) -> None:
        """Take these sockets, which are bound to an address, for a server that is started later."""
        self._stop_serving()
        self._sockets, self._address = sockets, at

    async def listening(self) -> Listening:
        """Return where it listens, and for how many clients."""
        kept = sum(socket.left is None for socket in self._kept)
        return Listening([sock.getsockname()[:2] for sock in self._sockets], kept)

    async def up(self, process: str, told: Up) -> None:
        """Learn that a child takes connections: serve them from now on."""
        if self._server is None:
            if self._address is None:
                return  # The child has ended meanwhile.
            sockets = [sock.dup() for sock in self._sockets]
            self._server = self.new_server(self._serve, sockets, self._address.options)
            try:
                await self._server.start()
            except BaseException:
                self._stop_serving()
                raise
        self._children[process].up(told)

    # ------------------------------------------------------------- from clients

    async def _serve(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket: the ASGI application of the server."""
        if scope["type"] == "http":
            await Request(self._front(), scope, receive, send).handle()
        elif scope["type"] == "websocket" and (await receive())["type"] == "websocket.connect":
            await self._serve_websocket(scope, receive, send)
        else:
            log.logger.debug(f"process {self._front().process}: a client left at once")

    def _front(self) -> Child:
        """Return the child that gets what is for one of them: the first that is or will be up."""
        children = list(self._children.values())
        return next((child for child in children if not child.is_over), children[0])

    async def _serve_websocket(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        child = self._front()
        if not await child.until_up():  # Only a child that is up has said what it takes.
            await unavailable(send, child.process, DENIAL)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        protocol = of_adapter(child.adapters.get(path))
        if protocol is None:
            await PlainWebSocket(child, scope, receive, send).handle()
            return
        key = key_of(scope)
        others = [each for each in self._kept if each.key == key]
        with suppress(asyncio.TimeoutError):  # One may have left just now.
            leaving = asyncio.gather(*(other.leaves.wait() for other in others))
            await asyncio.wait_for(leaving, _LEAVE_SECONDS[bool(key[1])])
        for other in others:
            if other.left is not None:
                await other.gone.wait()  # Else the adapter would have two of one account.
                other.is_replaced = True
        kept = KeptWebSocket(list(self._children.values()), scope, receive, send, protocol)
        self._kept.add(kept)
        try:
            await kept.handle()
        finally:
            self._kept.discard(kept)
