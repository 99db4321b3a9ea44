"""The server behind the control socket: uvicorn on a loop of its own, with bounds on its clients.

uvicorn looks every 0.1 s whether it is to end. This one sleeps until it is, so an idle bot stays
idle once somebody has asked it. A client gets an error and nothing else: where there are too many,
where its request does not come, and where it is no HTTP.

All runs on the thread of the `Door`, which owns the sockets.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from .api import Api
from .control import Control

if TYPE_CHECKING:
    from ..bot import LiteyukiBot

_MOST = 100
"""Connections at a time. Each has at most 64 KiB of a header, and 1 MiB of a body, in memory."""

_REQUEST_SECONDS = 10.0
"""A connection that has not sent a whole header by then is closed."""

_END_SECONDS = 0.5

_FULL = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class _Connection(H11Protocol):
    """One connection, for one request, which has little time to come."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        if len(self.connections) >= _MOST:
            transport.write(_FULL)
            transport.close()
        super().connection_made(transport)
        self._timer = self.loop.call_later(_REQUEST_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.abort()


class _Server(uvicorn.Server):
    """A server that sleeps until `closing` has something to read."""

    def __init__(self, config: uvicorn.Config, closing: socket.socket, ended: asyncio.Event):
        super().__init__(config)
        self._closing = closing
        self._ended = ended

    async def main_loop(self) -> None:
        self.server_state.default_headers = self.config.encoded_headers
        await asyncio.get_running_loop().sock_recv(self._closing, 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        self._ended.set()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        if state.tasks:
            await asyncio.wait(state.tasks, timeout=_END_SECONDS)
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


def serve(
    bot: LiteyukiBot, listening: socket.socket, closing: socket.socket, token: str | None
) -> None:
    """Serve until `closing` has something to read."""
    thread = threading.get_ident()

    def is_of_another(record: logging.LogRecord) -> bool:
        return record.thread != thread

    # What a client does wrong is no line in the bot's log. Other servers in this process log on.
    logger = logging.getLogger("uvicorn.error")
    logger.addFilter(is_of_another)
    try:
        asyncio.run(_serve(bot, listening, closing, token))
    finally:
        logger.removeFilter(is_of_another)


async def _serve(
    bot: LiteyukiBot, listening: socket.socket, closing: socket.socket, token: str | None
) -> None:
    ended = asyncio.Event()
    api = Api(Control(bot), lambda: bot._loop, ended, token)
    config = uvicorn.Config(
        api,
        http=_Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        headers=[("connection", "close")],
    )
    await _Server(config, closing, ended).serve([listening])
