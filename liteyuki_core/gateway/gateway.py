"""The gateway of one child and its replicas: what the main process serves for them.

Ownership. LiteyukiBot makes a `Gateway` for each child that has one, and closes it. The gateway
owns the channels to the child and its replicas, and the server, which listens from the first start
of one until all are stopped or given up. Each request and each WebSocket runs in a task of the
server's.

Threads. `__init__` may be called on any thread. LiteyukiBot's loop calls everything else.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from .. import log
from ..comm import set_channel
from ..comm.channel import Channel
from ..errors import ConfigError
from ..process.listening import bind
from ..process.state import ProcessState
from . import channel_of
from .child import Child
from .exchange import CAPACITY, PIECE, Begun, Listen, Listening, Refused, Serves, Up
from .http import Receive, Request, Send, unavailable
from .kept import KeptWebSocket, key_of
from .onebot import of_adapter
from .websocket import DENIAL, PlainWebSocket

_LEAST_MESSAGE_BYTES = 4 * PIECE

_LEAVE_SECONDS = 0.2, 1.0
"""So long a client that connects anew waits for its last connection to end. The first is for one
that does not say who it is, so that any other may have been its own."""

Run = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a call in a worker thread."""


def check_limit(process: str, max_message_bytes: int) -> None:
    """Raise `ConfigError` if messages may not be as long as a gateway's are."""
    if max_message_bytes < _LEAST_MESSAGE_BYTES:
        raise ConfigError(
            f"process {process}: LITEYUKI_MAX_MESSAGE_BYTES={max_message_bytes} is too little for "
            f"a gateway: at least {_LEAST_MESSAGE_BYTES}, or set LITEYUKI_GATEWAY=false"
        )


class Gateway:
    """Serves a child's address, and passes what comes to the child."""

    def __init__(self, processes: Sequence[str], wait: float, run: Run) -> None:
        """`wait` is how many seconds a request waits for a child that is away.

        Raises `ChannelExists` if another channel has the name of a child's.
        """
        self._run = run
        self._asking = asyncio.Lock()
        """Two replicas may ask for the address at the same time, or come up."""
        self._children = {process: self._add(process, wait) for process in processes}
        self._address: Listen | None = None
        self._sockets: list[socket.socket] = []
        self._server: Any = None
        """The server of `server.py`, which imports uvicorn."""
        self._import: asyncio.Future[Any] | None = None
        """The import of `server.py`, once a child has said that it serves."""
        self._closing: set[asyncio.Task[None]] = set()
        self._kept: set[KeptWebSocket] = set()

    def _add(self, process: str, wait: float) -> Child:
        channel: Channel[Any] = Channel(channel_of(process), capacity=CAPACITY)
        set_channel(channel_of(process), channel)
        child = Child(process, channel, wait)

        async def asked(question: object) -> Any:
            async with self._asking:
                if isinstance(question, Listen):
                    return await self._listen(question)
                if isinstance(question, Up):
                    return await self._up(child, question)
            raise TypeError(f"a {type(question).__name__} is nothing to ask a gateway")

        async def told(told: object) -> None:
            if isinstance(told, Begun):
                child.has_begun(told)
            elif isinstance(told, Serves):
                self._begin_import()

        channel.on_request()(asked)
        channel.on_receive()(told)
        return child

    def state(self, process: str, state: ProcessState) -> None:
        """Learn that a child has a new state."""
        self._children[process].state(state)
        if all(child.is_over for child in self._children.values()):
            self._stop_serving()

    def _begin_import(self) -> asyncio.Future[Any]:
        """Import `server.py`, while the child loads its plugins."""
        if self._import is None:
            call = self._run(lambda: import_module(f"{__package__}.server"))
            self._import = asyncio.ensure_future(call)
        return self._import

    async def close(self) -> None:
        """Close all connections and the sockets. Idempotent."""
        for child in self._children.values():
            child.state(ProcessState.STOPPED)
        self._stop_serving()
        if self._import is not None:
            await asyncio.wait({self._import})
        if self._closing:
            await asyncio.wait(set(self._closing))

    def _stop_serving(self) -> None:
        server, self._server = self._server, None
        sockets, self._sockets, self._address = self._sockets, [], None
        for sock in sockets:
            sock.close()
        if server is not None:
            task = asyncio.get_running_loop().create_task(server.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    # ------------------------------------------------------------- from a child

    async def _listen(self, wanted: Listen) -> Listening | Refused:
        """Bind the address that the child wants, and return what that is."""
        self._begin_import()
        if wanted != self._address:
            self._stop_serving()
            if self._closing:
                await asyncio.wait(set(self._closing))
            try:
                found = await self._run(lambda: bind(wanted.host, wanted.port, wanted.backlog))
            except (OSError, OverflowError, ValueError) as error:  # Also for a NUL in a name.
                code = getattr(error, "errno", None) or errno.EINVAL
                return Refused(code, getattr(error, "strerror", None) or str(error))
            self._stop_serving()
            self._sockets, self._address = found, wanted
        kept = sum(socket.left is None for socket in self._kept)
        return Listening([sock.getsockname()[:2] for sock in self._sockets], kept)

    async def _up(self, child: Child, told: Up) -> None:
        if self._server is None:
            found = await asyncio.shield(self._begin_import())
            if self._address is None:
                return  # The child has ended meanwhile.
            sockets = [sock.dup() for sock in self._sockets]
            self._server = found.Server(self._serve, sockets, self._address.options)
            try:
                await self._server.start()
            except BaseException:
                self._stop_serving()
                raise
        child.up(told)

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
