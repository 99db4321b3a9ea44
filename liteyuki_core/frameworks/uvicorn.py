"""uvicorn in a child process: the main process's listening socket for it, and when it serves.

All that is changed is `startup` and `shutdown` of one server object. uvicorn is not imported
here: whoever serves with it has done that.
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
"""How long those accepted last have for their requests before they are told of the end."""


class FirstServer:
    """Within it, the first uvicorn server that is started on this thread; `found` if there is one.

    Called on the server's loop: `on_ready` when it serves; `on_refused` with host, port and, if
    known, the error when it ends at its startup, at the latest because it can't listen.
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
                # Before anything of the application runs, so that nobody waits for this thread.
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
            # It says where it listens only of sockets that it has made.
            server._log_started_message(ours)
        self._on_ready()


async def _shutdown(server: Any, original: Callable[..., Any], sockets: Any = None) -> None:
    # Who connects from now on waits for the next process. Who was accepted just before has to
    # become a connection that uvicorn knows: it would never be told of the end, nor the end come.
    for each in server.servers:
        each.close()
    await asyncio.sleep(_LAST_SECONDS)
    await original(sockets=sockets)
