"""A bot to ask and to command, with children that echo, wait, and die of a message."""

from __future__ import annotations

import asyncio
import os
import sys
import time

from liteyuki_core import LiteyukiBot, Queue, get_channel, get_queue, logger, shared_memory
from liteyuki_core.comm import active_channel
from liteyuki_core.control import address
from tests.children import acting
from tests.children.targets import echo, waits


def fragile() -> None:
    """Die of one message, and send back every other."""
    for data in active_channel:
        if data == "die":
            os._exit(7)
        active_channel.send(data)


def mortal() -> None:
    """End with an exit code of its own when a message comes."""
    active_channel.receive()
    sys.exit(9)


def works() -> None:
    """Work at what comes in a queue."""
    for data in Queue[object]("work"):
        if not isinstance(data, float):
            acting.say("worked at", data)


class Custom:
    """A class of the user's, which no other process is to import."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code has run",)


def main() -> None:
    """Argument: `port` for a port in place of a Unix socket, as Windows has it."""
    address.by_port = "port" in sys.argv
    bot = LiteyukiBot()
    bot.add_process("echo", echo)
    bot.add_process("waits", waits)
    bot.add_process("fragile", fragile, restart=acting.AGAIN)
    bot.add_process("works", works)
    bot.add_process("mortal", mortal, restart=acting.NEVER)

    @bot.on_after_start
    async def after_start() -> None:
        shared_memory.set("custom", Custom())
        logger.warning("token=abcdef0123456789 is a secret")
        answers = get_channel("echo-active")
        await asyncio.gather(*(bot.wait_ready(name, 30) for name in bot.processes))
        acting.say("all run")
        while True:
            data = await answers.async_receive()
            if data == "block":
                acting.say("blocks")
                deadline = time.monotonic() + 30
                while not os.path.exists("unblock") and time.monotonic() < deadline:
                    time.sleep(0.05)
            if data == "flood":
                for number in range(30_000):
                    await get_queue("work").async_send(float(number))
                acting.say("flooded")
            if data == "custom":
                shared_memory.set("custom", Custom())
            if data == "tasks":
                logger.info(f"tasks: {len(asyncio.all_tasks())}")
            if data == "chat":
                recent = bot._writer.recent
                before = recent.last
                for number in range(30_000):
                    logger.info(f"line {number} of many")
                    # A few thousand that are not written yet are dropped.
                    while number % 1000 == 0 and recent.last < before + number:
                        await asyncio.sleep(0.01)
                logger.info("chatted")
            logger.info(f"echoed {data}")

    bot.run()
