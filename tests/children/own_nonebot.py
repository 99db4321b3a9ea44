"""A child that runs NoneBot by itself, without the launcher.

The first argument is JSON: the arguments of the child.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading

from liteyuki_core import LiteyukiBot, get_channel, logger, shared_memory
from liteyuki_core.comm import active_channel, passive_channel


def register() -> None:
    @passive_channel.on_receive()
    async def on_message(data: object) -> None:
        name = threading.current_thread().name
        logger.info(f"{data} on {name}")

    @active_channel.on_receive()
    async def another(data: object) -> None:
        pass


def own(when: str, driver: str, plugin: bool, port: int) -> None:
    import nonebot

    if when == "before it is there":
        register()
    nonebot.init(driver=driver, port=port, host="127.0.0.1", log_level="WARNING")
    if plugin:
        nonebot.load_plugin("nonebot_plugin_liteyuki_comm")
    if when == "when it is there":
        register()
    elif when == "when it runs":
        nonebot.get_driver().on_startup(register)
    nonebot.get_driver().on_startup(lambda: shared_memory.set("up", True))
    nonebot.run()


def main() -> None:
    bot = LiteyukiBot()
    bot.add_process("own", own, tuple(json.loads(sys.argv[1])))

    @bot.on_after_start
    async def send() -> None:
        while shared_memory.get("up") is None:
            await asyncio.sleep(0.01)
        for number in range(3):
            for name in ("own-passive", "own-active"):
                get_channel(name).send(f"message {number}")
            await asyncio.sleep(0.05)

    bot.run()
