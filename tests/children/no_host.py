"""NoneBot with the plugin and without LiteyukiBot: what is used of the plugin, and what it says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import nonebot

from liteyuki_core.errors import NotConnected


def main() -> None:
    nonebot.init(driver="~none")
    nonebot.require("nonebot_plugin_liteyuki_comm")

    from nonebot_plugin_liteyuki_comm import Channel, active_channel, get_channel, passive_channel

    def send_on_a_new_one() -> None:
        mine: Channel[str] = Channel("mine")
        mine.send("x")

    uses: tuple[Callable[[], object], ...] = (
        lambda: active_channel.send("x"),
        lambda: passive_channel.receive(),
        lambda: active_channel.on_receive()(print),
        send_on_a_new_one,
        lambda: asyncio.run(active_channel.async_send("x")),
        lambda: get_channel("nonebot-active"),
    )
    print("threads:", [thread.name for thread in threading.enumerate()])
    for use in uses:
        try:
            print("used:", use())
        except NotConnected as error:
            print("refused:", error)
    print("threads:", [thread.name for thread in threading.enumerate()])
