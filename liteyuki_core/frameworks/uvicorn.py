"""uvicorn in a child: gives it the main process's listening sockets, and tells when it serves.

Only `startup` and `shutdown` of one server are changed. This file does not import uvicorn: a
program that serves with it has imported it. All runs on the thread and loop of that server.
The sockets given to the server are closed by it, or here if it does not start.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from ..process.child.sockets import listen

_COULD_NOT_START = 3
_LAST_SECONDS = 0.1
"""Connections that are accepted last have so long to send requests before the shutdown."""


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
        try:
            if sockets is None and config.fd is None and config.uds is None:
                # The application does not run yet, so nothing else waits for this thread.
                ours = listen(config.host, config.port, config.backlog)
            server.shutdown = partial(_shutdown, server, server.shutdown)
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


async def _shutdown(server: Any, original: Callable[..., Any], sockets: Any = None) -> None:
    # A client that connects from now on waits for the next process. A connection that was accepted
    # just before must first become known to uvicorn. Else uvicorn would never close it, and the
    # shutdown would never end.
    for each in server.servers:
        each.close()
    await asyncio.sleep(_LAST_SECONDS)
    await original(sockets=sockets)
