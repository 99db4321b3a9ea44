"""The control socket of a running bot, and the thread behind it.

Nothing of the server is imported before somebody connects: the thread sleeps until then, so a bot
that nobody asks starts as quickly as one without a control socket, and no more wakes up.

Ownership. A `Door` owns the listening socket, what stands in `.liteyuki`, and the thread with its
loop. The thread that runs the bot opens the door, and closes it when the last line of the log is
written, so that whoever follows the log sees how the bot has ended.
"""

from __future__ import annotations

import selectors
import socket
import threading
from typing import TYPE_CHECKING

from .. import log
from ..language import say
from . import address

if TYPE_CHECKING:
    from ..bot import LiteyukiBot

_CLOSE_SECONDS = 2.0


class Door:
    """Lets other processes of the user ask and command `bot`, from `open` to `close`."""

    def __init__(self, bot: LiteyukiBot) -> None:
        self._bot = bot
        self._token = address.new_token()
        self._left: list[str] = []
        self._listening: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Listen. If that can't be, the bot runs all the same, and the log says why."""
        try:
            self._listening = address.listen(self._token or "")
            self._left = address.paths()
        except OSError as error:
            log.logger.warning(
                say(
                    "there is no control socket, so the command line finds no bot here: {error}",
                    error=error,
                )
            )
            return
        self._closing, self._close = socket.socketpair()
        self._closing.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="liteyuki-control", daemon=True)
        self._thread.start()
        if self._bot._cluster is not None:
            self._bot._cluster.serve(_answer)

    def close(self) -> None:
        """Listen no more, and let those who follow read the end. Waits up to 2 s. Idempotent."""
        if self._thread is None:
            return
        self._close.send(b"x")
        self._thread.join(_CLOSE_SECONDS)
        self._thread = None
        self._close.close()

    # ------------------------------------------------------------- the thread

    def _run(self) -> None:
        assert self._listening is not None
        try:
            if self._bot._settings.web or self._is_wanted(self._listening):
                from .server import serve

                serve(self._bot, self._listening, self._closing, self._token)
        except Exception as error:
            log.logger.opt(exception=error).error(
                say(
                    "the control socket is closed, because its server has failed: {error!r}",
                    error=error,
                )
            )
        finally:
            address.remove(self._left)
            self._listening.close()
            self._closing.close()

    def _is_wanted(self, listening: socket.socket) -> bool:
        """Wait until somebody connects, or until the door is closed; return which it was."""
        with selectors.DefaultSelector() as selector:
            selector.register(listening, selectors.EVENT_READ)
            selector.register(self._closing, selectors.EVENT_READ)
            ready = [key.fileobj for key, _ in selector.select()]
        return self._closing not in ready


def _answer(question: bytes) -> bytes:
    """Return what this bot's API answers another node. Waits. Imports that when it is asked."""
    from .remote import answer

    return answer(question)
