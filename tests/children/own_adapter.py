"""A NoneBot plugin with an adapter of its own, which no gateway knows: it echoes."""

from __future__ import annotations

from typing import Any

from nonebot import get_driver
from nonebot.adapters import Adapter as BaseAdapter
from nonebot.drivers import URL, ASGIMixin, Driver, WebSocket, WebSocketServerSetup
from nonebot.exception import WebSocketClosed


class Adapter(BaseAdapter):
    """Takes WebSockets as OneBot's adapters do."""

    def __init__(self, driver: Driver, **kwargs: Any) -> None:
        super().__init__(driver, **kwargs)
        assert isinstance(driver, ASGIMixin)
        self.setup_websocket_server(WebSocketServerSetup(URL("/own/ws"), "own", self._serve))

    @classmethod
    def get_name(cls) -> str:
        return "Own"

    async def _call_api(self, bot: Any, api: str, **data: Any) -> None:
        raise NotImplementedError

    async def _serve(self, socket: WebSocket) -> None:
        await socket.accept()
        try:
            while True:
                await socket.send(await socket.receive())
        except WebSocketClosed:
            pass


get_driver().register_adapter(Adapter)
