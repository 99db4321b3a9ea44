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
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from .. import log
from ..errors import LiteyukiError
from ..language import say
from . import models
from .api import Api
from .control import Control

if TYPE_CHECKING:
    from ..bot import LiteyukiBot

_MOST = 100
"""Connections at a time. Each has at most 64 KiB of a header, and 1 MiB of a body, in memory."""

_REQUEST_SECONDS = 10.0
"""A connection that has not sent a whole header by then is closed, for each of its requests."""

_END_SECONDS = 0.5

_FULL = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class _Connection(H11Protocol):
    """One connection, whose requests have little time to come."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        if len(self.connections) >= _MOST:
            transport.write(_FULL)
            transport.close()
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _expect(self) -> None:
        """Have a request come soon, if none is being answered."""
        if self._timer is None and self._is_idle:
            self._timer = self.loop.call_later(_REQUEST_SECONDS, self._look)
        elif self._timer is not None and not self._is_idle:
            self._timer.cancel()
            self._timer = None

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _look(self) -> None:
        self._timer = None
        if self._is_idle and not self.transport.is_closing():
            self.transport.abort()


class Server(uvicorn.Server):
    """A server that sleeps until what `sleep` returns is done."""

    def __init__(self, config: uvicorn.Config, sleep: Callable[[], Awaitable[object]]) -> None:
        super().__init__(config)
        self._sleep = sleep

    async def main_loop(self) -> None:
        self.server_state.default_headers = self.config.encoded_headers
        await self._sleep()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
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
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    control = Control(bot)
    # Its threads are started when there is something to do.
    threads = ThreadPoolExecutor(2, thread_name_prefix="liteyuki-control")
    page: Any = None

    async def sleep() -> None:
        await loop.sock_recv(closing, 1)
        ended.set()

    def open_page(asked: models.OpenPage) -> models.PageLink:
        nonlocal page
        if page is None:
            # By its name: web is above this floor, and imported when it is wanted.
            web = import_module(f"{__package__.rpartition('.')[0]}.web.server")
            api = Api(control, lambda: bot._loop, ended, threads)
            page = web.Page(api, control, threads, ended)
            control.figures.begin(loop, control.sample)
        found: models.PageLink = page.link(asked)
        return found

    control.opens_page = open_page
    if bot._settings.web:
        _open_with_the_bot(control)
    api = Api(control, lambda: bot._loop, ended, threads, token)
    config = configured(api, [("connection", "close")])
    try:
        await Server(config, sleep).serve([listening])
    finally:
        ended.set()
        control.close()
        if page is not None:
            await page.close()
        threads.shutdown(wait=False)


def _open_with_the_bot(control: Control) -> None:
    try:
        link = control.open_page(models.OpenPage())
    except (LiteyukiError, OSError) as error:
        log.logger.error(say("there is no web page: {error}", error=error))
        return
    log.logger.info(
        say(
            "this link to the web page works once, within {seconds:.0f} s; `liteyuki web` makes "
            "others: {url}",
            seconds=link.seconds,
            url=link.url,
        )
    )


def configured(app: Any, headers: list[tuple[str, str]] | None = None) -> uvicorn.Config:
    """Return how `Server` serves an ASGI application, with `headers` on every answer."""
    return uvicorn.Config(
        app,
        http=_Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        headers=headers,
    )
