"""The page of a running bot: it is opened once, on one more socket, and closed with the bot.

Ownership. A `Page` owns its socket and its server's task. It runs on the loop of the control
socket, and `threads` are those of its server.
"""

from __future__ import annotations

import asyncio
import getpass
import platform
from concurrent.futures import Executor
from urllib.parse import urlsplit

from .. import log
from ..control import models
from ..control.api import Api
from ..control.control import Control
from ..control.server import Server, configured
from ..language import say
from . import static
from .address import Address
from .app import App, Parts
from .password import Password, check
from .sessions import TICKET_SECONDS, Right, Sessions


class Page:
    """Serves the page, until `ended` is set. Raises `LiteyukiError` if it can't be served."""

    def __init__(self, api: Api, control: Control, threads: Executor, ended: asyncio.Event) -> None:
        settings = control.running_settings
        check(settings)
        self._sessions = Sessions()
        self._address = Address(settings)
        try:
            password = Password(settings.web_password, threads)
            parts = Parts(api, control.life, self._address, self._sessions, password, static.read())
            server = Server(configured(App(parts)), ended.wait)
        except BaseException:
            self._address.socket.close()
            raise
        self._serving = asyncio.get_running_loop().create_task(
            server.serve([self._address.socket]), name="liteyuki-web"
        )
        log.logger.info(say("the web page is open at {url}", url=self._address.url))

    def link(self, asked: models.OpenPage) -> models.PageLink:
        """Return a link to the page, with a ticket."""
        right: Right = "read" if asked.read_only else "change"
        ticket = self._sessions.new_ticket(right)
        port = self._address.port
        tunnel = None
        if self._address.is_loopback:
            user, node = getpass.getuser(), platform.node()
            listens = urlsplit(self._address.here).netloc
            tunnel = f"ssh -N -L {port}:{listens} {user}@{node}"
        return models.PageLink(
            url=f"{self._address.url}/ticket/{ticket}",
            right=right,
            seconds=TICKET_SECONDS,
            port=port,
            tunnel=tunnel,
        )

    async def close(self) -> None:
        """Wait until the server has ended, after `ended` was set."""
        await asyncio.wait({self._serving})
