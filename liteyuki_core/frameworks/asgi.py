"""A child's ASGI application behind the main process's gateway: no socket here, only the link.

`Front` takes the place of uvicorn's listening: uvicorn's loop, signals and lifespan stay as they
are. The application gets what the gateway has received, in tasks that know nothing of channels.

Ownership. The front owns the tasks in which the application runs. They end with their connection;
a shutdown first has messages in hand handled while connections still work, then ends WebSockets
with 1012, waits for the tasks, and only then has uvicorn shut the application down. All runs on the
loop of uvicorn's server.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextvars import Context, copy_context
from time import monotonic
from typing import Any

from ..comm import current
from ..comm.channel import Channel
from ..comm.loop.dispatch import Dispatcher
from ..comm.registry import get_channel
from ..errors import ChannelClosed
from ..gateway import channel_of
from ..gateway.exchange import Http, Listen, Listening, Refused, Up, WebSocket
from .asgi_http import HttpRun
from .asgi_websocket import WebSocketRun

_BACK_SECONDS = 3.0
"""Callbacks wait so long for bots that were connected before a restart, once they can be."""
_END_SECONDS = 3.0
"""A shutdown waits so long for what is in hand, unless it was given a deadline."""

_OPTIONS = (
    *("http", "ws", "ws_max_size", "ws_max_queue", "ws_ping_interval", "ws_ping_timeout"),
    *("ws_per_message_deflate", "access_log", "root_path", "limit_concurrency", "backlog"),
    *("timeout_keep_alive", "server_header", "date_header", "headers"),
    *("h11_max_incomplete_event_size", "ssl_keyfile", "ssl_certfile", "ssl_keyfile_password"),
    *("ssl_version", "ssl_cert_reqs", "ssl_ca_certs", "ssl_ciphers"),
)
"""What of a uvicorn `Config` concerns the socket."""


class Front:
    """Serves one uvicorn server's application from the link."""

    def __init__(self, adapters: Mapping[str, str]) -> None:
        """`adapters` has, by path, the adapters that take WebSockets. It is read when all is up."""
        self._adapters = adapters
        self._application: Any = None
        self._channel: Channel[Any]
        self._state: dict[str, Any] = {}
        self._context: Context = copy_context()
        """The context variables of uvicorn's server, which the application's tasks get."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._sockets: set[WebSocketRun] = set()
        self._missing = 0
        """How many bots are to be connected again before the first callback runs."""
        self._held: Dispatcher | None = None
        """What holds them until then."""

    async def startup(self, server: Any) -> list[tuple[str, int]] | None:
        """Have the main process listen for `server`, and start the application.

        Returns the addresses, or None if this process is stopped before it has begun to start the
        application. Raises `OSError` as listening would, SystemExit if the application does not
        start.
        """
        config = server.config
        channel = self._channel = get_channel(channel_of(str(current.process())))
        listen = Listen(config.host, config.port, config.backlog, options_of(config))
        answer: Listening | Refused | None = await self._asked(listen)
        if answer is None:
            return None
        if isinstance(answer, Refused):
            raise OSError(answer.code, answer.text)
        if answer.kept:
            self._missing = answer.kept
            # Callbacks may need the bots of these connections, which are about to be back.
            self._held = current.current().dispatcher
            self._held.hold(str(channel.name))
        await server.lifespan.startup()
        if server.lifespan.should_exit:
            self._release()
            raise SystemExit(3)
        server.servers = []
        server.started = True
        self._application = config.loaded_app
        self._state = server.lifespan.state
        self._context = copy_context()
        channel.on_request()(self._take)
        await self._asked(Up(dict(self._adapters)))
        asyncio.get_running_loop().call_later(_BACK_SECONDS, self._release)
        return answer.addresses

    async def _asked(self, question: object) -> Any:
        """Return the gateway's answer, None if this process is stopped before it comes."""
        try:
            return await self._channel.async_request(question)
        except ChannelClosed:
            if current.current().stop.why is None:
                raise
            return None

    def bot_connected(self) -> None:
        """Note that a bot has connected."""
        self._missing -= 1
        if not self._missing:
            self._release()

    def _release(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.release()

    async def shutdown(self, server: Any) -> None:
        """End all connections, then the application."""
        logging.getLogger("uvicorn.error").info("Shutting down")
        stop = current.current().stop
        at = stop.at or monotonic() + _END_SECONDS
        stop.begin("NoneBot is shutting down")
        await stop.async_settle(at - monotonic())
        for socket in self._sockets:
            socket.end()
        if self._tasks:
            # These had their time above, and what they are doing was not waited for in vain.
            await asyncio.wait(set(self._tasks), timeout=max(0.5, at - monotonic()))
        for task in list(self._tasks):
            task.cancel()
        if not server.force_exit:
            await server.lifespan.shutdown()

    # ------------------------------------------------------------- from the gateway

    async def _take(self, request: object) -> Any:
        if isinstance(request, Http):
            scope = {**request.scope, "state": self._state.copy()}
            run = HttpRun(request, scope, self._channel)
            self._start(run.run(self._application))
            return await run.answer()
        if isinstance(request, WebSocket):
            scope = {**request.scope, "state": self._state.copy()}
            await self._open(WebSocketRun(request.frames), scope)
            return None
        raise TypeError(f"a {type(request).__name__} is nothing to ask an application")

    async def _open(self, socket: WebSocketRun, scope: dict[str, Any]) -> None:
        """Run the application for a WebSocket, without waiting for it."""
        self._sockets.add(socket)
        # It inherits from this callback that its receives go on while the process stops.
        reading = asyncio.get_running_loop().create_task(socket.read())
        task = self._start(socket.run(self._application, scope))

        def ended(_: object) -> None:
            reading.cancel()
            self._sockets.discard(socket)

        task.add_done_callback(ended)

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a task with the context variables that it would have under uvicorn."""
        create: Callable[..., asyncio.Task[None]] = asyncio.get_running_loop().create_task
        task = self._context.copy().run(create, coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def options_of(config: Any) -> dict[str, Any]:
    """Return what of a uvicorn `Config` concerns the socket, as far as it is plain data."""
    found = {name: vars(config)[name] for name in _OPTIONS if name in vars(config)}
    return {name: value for name, value in found.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float | bytes)
