"""A main process whose NoneBot child uses the store everywhere; at last it shows what is left."""

from __future__ import annotations

import asyncio

from liteyuki_core import LiteyukiBot, logger, shared_memory


def main() -> None:
    bot = LiteyukiBot()
    plugins = ["tests.children.store_plugin"]
    run = "liteyuki_core.frameworks.nonebot:run"
    bot.add_process("nonebot", run, kwargs={"plugins": plugins})
    shared_memory["from main"] = ["main"]

    @bot.on_after_start
    async def wait() -> None:
        while await shared_memory.async_get("watched") is None:
            await asyncio.sleep(0.02)
        logger.info("all is there")

    @bot.on_after_shutdown
    def look() -> None:
        logger.info(f"left: {shared_memory.namespace('steps').get_all()}")

    bot.run()
