"""A main process that sends back what the NoneBot plugin relay_plugin.py relays to it."""

from __future__ import annotations

from typing import Any

from liteyuki_core import LiteyukiBot, get_channel


def main() -> None:
    bot = LiteyukiBot()
    plugins = ["tests.children.relay_plugin"]
    run = "liteyuki_core.frameworks.nonebot:run"
    bot.add_process("nonebot", run, kwargs={"plugins": plugins})
    channel = get_channel("nonebot-active")

    @channel.on_receive()
    async def echo(message: Any) -> None:
        await channel.async_send(message)

    bot.run()
