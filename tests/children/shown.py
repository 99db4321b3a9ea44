"""A bot to look at: names, lines, keys and values that are markup, and what can be stuck."""

from __future__ import annotations

import asyncio
import sys

from liteyuki_core import LiteyukiBot, get_channel, logger, shared_memory
from tests.children import acting
from tests.children.controlled import fragile, works
from tests.children.targets import echo

EVIL = "<img src=x onerror=document.title='taken'>"
"""What would take over a page that shows it as anything but text."""


def fails() -> None:
    """Say why, and end at once."""
    acting.say("it can't go on")
    sys.exit(9)


def main() -> None:
    """What is sent on `echo-active` is logged: `line 7`. A number: so many lines are."""
    bot = LiteyukiBot()
    bot.add_process("echo", echo)
    bot.add_process("fragile", fragile, restart=acting.AGAIN)
    bot.add_process("works", works)
    bot.add_process("fails", fails, restart=acting.NEVER)
    bot.add_process(EVIL, echo)

    @bot.on_after_start
    async def after_start() -> None:
        shared_memory.set("users/1", {"name": EVIL, "level": 3})
        shared_memory.set(f"users/{EVIL}", EVIL)
        logger.error(EVIL)
        logger.warning("a line\nthat goes on\nand on")
        answers = get_channel("echo-active")
        running = [name for name in bot.processes if name != "fails"]
        await asyncio.gather(*(bot.wait_ready(name, 30) for name in running))
        acting.say("all run")
        async for data in answers:
            if isinstance(data, int):
                for number in range(data):
                    logger.info(f"number {number}")
                    if number % 200 == 0:
                        await asyncio.sleep(0)
            logger.info(f"line {data}")

    bot.run()
