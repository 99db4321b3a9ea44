"""A bot that makes all the files that a bot makes; the first argument is its umask, in octal."""

from __future__ import annotations

import asyncio
import os
import sys
import time

from liteyuki_core import LiteyukiBot, logger, shared_memory


def sleeps() -> None:
    time.sleep(60)


def main() -> None:
    os.umask(int(sys.argv[1], 8))
    bot = LiteyukiBot()
    bot.add_process("child", sleeps)

    @bot.on_after_start
    async def go() -> None:
        for number in range(300):
            logger.info(f"line {number} " + "x" * 100)
            await shared_memory.async_set("key", number, persist=True)
            await asyncio.sleep(0)
        print("written", flush=True)

    bot.run()
