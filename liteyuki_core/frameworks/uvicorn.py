"""uvicorn in a child: gives it the main process's listening sockets, and tells when it serves.

One server is changed: its `startup` and `shutdown`, and how it waits for its end. uvicorn looks
every 0.1 s whether it is to end; here it sleeps until it is. It waits 0.1 s for connections to end;
here it does not if there are none. This file does not import uvicorn: a program that serves with it
has imported it. All runs on the thread and loop of that server. The sockets given to the server are
closed by it, or here if it does not start.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from functools import partial
from time import time
from typing import Any, Protocol

from ..methods import names_in
from ..process.child.sockets import listen

_COULD_NOT_START = 3
_LAST_SECONDS = 0.02
"""Connections that are accepted last have so long to send requests before the shutdown."""
_LAST_TURNS = 5
"""From its accepting to uvicorn's knowing, a connection takes three turns of asyncio's loop."""

_MAIN_LOOP = {"on_tick", "asyncio", "sleep"}
_ON_TICK = {
    *("time", "formatdate", "encode", "config", "date_header", "encoded_headers"),
    *("server_state", "default_headers", "callback_notify", "last_notified", "timeout_notify"),
    *("should_exit", "limit_max_requests", "total_requests", "logger", "info", "warning"),
}
_SHUTDOWN = {
    *("logger", "info", "servers", "close", "list", "server_state", "connections", "shutdown"),
    *("asyncio", "sleep", "wait_for", "_wait_tasks_to_complete", "config", "TimeoutError", "error"),
    *("timeout_graceful_shutdown", "len", "tasks", "cancel", "force_exit", "lifespan"),
}
"""All names that a server's main loop, tick and shutdown use, where they do what this file expects.
"""


class Front(Protocol):
    """Takes the place of a server's listening, see `asgi.py`."""

    async def startup(self, server: Any) -> list[tuple[str, int]] | None:
        """Start the application of a server that does not listen itself; return its addresses.

        Returns None if this process is stopped before the application starts.
        """

    async def shutdown(self, server: Any) -> None:
        """End all connections, then the application."""

    def bot_connected(self) -> None:
        """Note that a bot has connected."""


class FirstServer:
    """Within its `with` block, finds the first uvicorn server that starts on this thread.

    `found` says whether there is one. Two functions are called on the server's loop: `on_ready`
    when the server serves; `on_refused` with host, port and, if known, the error, when the server
    ends during its startup, for example because it can't listen.
    """

    def __init__(
        self,
        on_ready: Callable[[], None],
        on_refused: Callable[[str, int, OSError | None], None],
    ) -> None:
        self._on_ready = on_ready
        self._on_refused = on_refused
        self._restore: Callable[[], None] | None = None
        self.found = False
        self.front: Front | None = None
        """What receives for the server in its place, if the main process has a gateway."""

    def __enter__(self) -> None:
        uvicorn: Any = sys.modules.get("uvicorn")
        if uvicorn is None:
            return
        original = uvicorn.Server.startup
        thread = threading.get_ident()

        async def startup(server: Any, sockets: Any = None) -> None:
            if threading.get_ident() != thread:
                await original(server, sockets=sockets)
                return
            self.__exit__()
            self.found = True
            await self._startup(server, partial(original, server), sockets)

        uvicorn.Server.startup = startup
        self._restore = partial(setattr, uvicorn.Server, "startup", original)

    def __exit__(self, *_: object) -> None:
        restore, self._restore = self._restore, None
        if restore is not None:
            restore()

    async def _startup(self, server: Any, original: Callable[..., Any], sockets: Any) -> None:
        config = server.config
        ours = None
        front = self.front
        try:
            if front is not None and sockets is None and config.fd is None and config.uds is None:
                if is_as_expected(server):
                    sleep_until_exit(server)
                addresses = await front.startup(server)
                if addresses is None:
                    server.started = server.should_exit = True
                    server.shutdown = _shut_down_nothing
                    return
                server.shutdown = lambda sockets=None: front.shutdown(server)
                server._log_started_message([_Address(*each) for each in addresses])
                self._on_ready()
                return
            if sockets is None and config.fd is None and config.uds is None:
                # The application does not run yet, so nothing else waits for this thread.
                ours = listen(config.host, config.port, config.backlog)
            server.shutdown = partial(_shutdown, server, server.shutdown)
            if is_as_expected(server):
                sleep_until_exit(server)
            await original(sockets=sockets if ours is None else ours)
        except OSError as error:
            self._on_refused(config.host, config.port, error)
            sys.exit(_COULD_NOT_START)
        except SystemExit:
            self._on_refused(config.host, config.port, None)
            raise
        finally:
            if not server.started:
                for sock in ours or []:
                    sock.close()
        if ours is not None:
            # By itself, uvicorn logs the address only of sockets that it has made.
            server._log_started_message(ours)
        self._on_ready()


class _Address:
    """Stands for a socket of the main process, where uvicorn wants to know only its address."""

    def __init__(self, host: str, port: int) -> None:
        self._name = host, port

    def getsockname(self) -> tuple[str, int]:
        return self._name


def is_as_expected(server: Any) -> bool:
    """Return whether `server` only looks at `should_exit` and the clock every 0.1 s.

    A subclass, another version of uvicorn or an option may have it do more.
    """
    return (
        names_in(server.main_loop) <= _MAIN_LOOP
        and names_in(server.on_tick) <= _ON_TICK
        and "should_exit" in vars(server)
        and "default_headers" in vars(server.server_state)
        and server.config.callback_notify is None
        and getattr(server, "limit_max_requests", None) is None
        and server.config.limit_max_requests is None
    )


def sleep_until_exit(server: Any) -> None:
    """Have `server` look at `should_exit` when it is set, and at the clock when a request comes.

    Whoever sets `should_exit`, a signal handler too, wakes the server's loop.
    """
    loop = asyncio.get_running_loop()
    looks = asyncio.Event()

    class Server(type(server)):  # type: ignore[misc]
        @property
        def should_exit(self) -> bool:
            return bool(self.__dict__["should_exit"])

        @should_exit.setter
        def should_exit(self, value: bool) -> None:
            self.__dict__["should_exit"] = value
            with suppress(RuntimeError):  # The loop has ended.
                loop.call_soon_threadsafe(looks.set)

        async def main_loop(self) -> None:
            while not await self.on_tick(0):
                await looks.wait()
                looks.clear()

    class State(type(server.server_state)):  # type: ignore[misc]
        _second = 0

        @property
        def default_headers(self) -> list[tuple[bytes, bytes]]:
            now = int(time())
            if self._second != now and server.config.date_header:
                self._second = now
                date = formatdate(now, usegmt=True).encode()
                self.default_headers = [(b"date", date), *server.config.encoded_headers]
            headers: list[tuple[bytes, bytes]] = self.__dict__["default_headers"]
            return headers

        @default_headers.setter
        def default_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
            self.__dict__["default_headers"] = headers

    server.__class__ = Server
    server.server_state.__class__ = State


async def _shut_down_nothing(sockets: Any = None) -> None:
    """Shut down an application that has not started."""


async def _shutdown(server: Any, original: Callable[..., Any], sockets: Any = None) -> None:
    # A client that connects from now on waits for the next process. A connection that was accepted
    # just before must first become known to uvicorn. Else uvicorn would never close it, and the
    # shutdown would never end.
    for each in server.servers:
        _stop_accepting(each)
    await asyncio.sleep(_LAST_SECONDS)
    for _ in range(_LAST_TURNS):  # A loop that was blocked has not made one turn meanwhile.
        await asyncio.sleep(0)
    state = server.server_state
    if state.connections or state.tasks or not names_in(original) <= _SHUTDOWN:
        await original(sockets=sockets)
        return
    # What uvicorn does, but for its waiting 0.1 s for connections to end: there are none.
    logging.getLogger("uvicorn.error").info("Shutting down")
    for each in (*server.servers, *(sockets or ())):
        each.close()
    await server._wait_tasks_to_complete()
    if not server.force_exit:
        await server.lifespan.shutdown()


def _stop_accepting(listening: asyncio.base_events.Server) -> None:
    """Accept no connection any more, and let those be served that were accepted in this turn.

    A server that is closed drops such a connection where asyncio's loop waits in `select`: there
    the transport is made a turn later. Such a loop reads the sockets, and can stop that alone.
    """
    loop = asyncio.get_running_loop()
    try:
        removed = [loop.remove_reader(sock.fileno()) for sock in listening.sockets]
    except NotImplementedError:
        removed = [False]
    if not all(removed):
        listening.close()
