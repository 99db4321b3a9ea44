"""uvicorn in the main process: the server that has a child's connections.

Ownership. A `Server` owns the sockets that it is given, uvicorn's server and its connections;
`close` ends all. It runs on the gateway's loop, and signals and the log are the main process's.
uvicorn is imported only here, when a child comes up for the first time.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from typing import Any

import uvicorn

from .. import log
from ..frameworks.uvicorn import is_as_expected, sleep_until_exit
from .frames import quick

_CLOSE_SECONDS = 1.0
_LOGGERS = ("uvicorn.error", "uvicorn.access")


class Server:
    """Serves an ASGI application on sockets that listen already. On the loop that runs it."""

    def __init__(self, app: Any, sockets: list[socket.socket], options: dict[str, Any]) -> None:
        self._sockets = sockets
        config = uvicorn.Config(
            app,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            # The child's application has this of its own.
            proxy_headers=False,
            **options,
        )
        self._server = uvicorn.Server(config)
        self._ticking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to accept. Raises what uvicorn raises for its options."""
        server = self._server
        server.config.load()
        if server.config.ws_protocol_class is not None:
            server.config.ws_protocol_class = quick(server.config.ws_protocol_class)
        server.lifespan = server.config.lifespan_class(server.config)
        _lines.show(self)
        expected = is_as_expected(server)
        if expected:
            sleep_until_exit(server)
        await server.startup(sockets=self._sockets)
        if not expected:
            self._ticking = asyncio.get_running_loop().create_task(
                server.main_loop(), name="liteyuki-gateway"
            )

    async def close(self) -> None:
        """Accept nothing more, and close all connections: WebSockets with 1012.

        Those that are about to end by themselves, because their child has ended, may say why.
        """
        server = self._server
        server.should_exit = True
        for each in getattr(server, "servers", ()):
            each.close()
        for sock in self._sockets:
            sock.close()
        state = server.server_state
        if state.tasks:
            await asyncio.wait(set(state.tasks), timeout=_CLOSE_SECONDS)
        for connection in list(state.connections):
            connection.shutdown()
        if state.tasks:
            await asyncio.wait(set(state.tasks), timeout=_CLOSE_SECONDS)
        for task in list(state.tasks):
            task.cancel()
        for connection in list(state.connections):
            connection.transport.abort()
        if self._ticking is not None:
            self._ticking.cancel()
        await asyncio.sleep(0)  # The transports close their sockets now.
        _lines.hide(self)


class _Lines(logging.Handler):
    """Passes the lines of all servers here on to the log. Those of others are on other threads."""

    def __init__(self) -> None:
        super().__init__()
        self._threads: dict[Server, int] = {}
        """The servers that run, and their threads."""

    def show(self, server: Server) -> None:
        """Pass on lines from now on, as long as one server wants that."""
        self._threads[server] = threading.get_ident()
        for name in _LOGGERS:
            logger = logging.getLogger(name)
            logger.setLevel(logging.INFO)
            logger.addHandler(self)  # No second time.

    def hide(self, server: Server) -> None:
        """Undo `show`. Idempotent."""
        self._threads.pop(server, None)
        if not self._threads:
            for name in _LOGGERS:
                logging.getLogger(name).removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread not in self._threads.values():
            return
        error = record.exc_info[1] if record.exc_info else None
        logger = log.logger if error is None else log.logger.opt(exception=error)
        logger.log(record.levelname, record.getMessage().strip())


_lines = _Lines()
