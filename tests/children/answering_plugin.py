"""A NoneBot plugin that answers every message of OneBot, and does what some of them say.

Each answer is the message's text and the pid. What is done is logged too.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from nonebot import get_driver, on_message
from nonebot.adapters import Bot, Event
from nonebot.exception import IgnoredException
from nonebot.message import event_preprocessor

from liteyuki_core import logger

driver = get_driver()


@event_preprocessor
async def ignore(event: Event) -> None:
    if event.get_type() == "message" and event.get_plaintext().startswith("ignore"):
        logger.info(f"ignored: {event.get_plaintext()}")
        raise IgnoredException("as the test wants")


@driver.on_bot_connect
async def connected(bot: Bot) -> None:
    logger.info(f"bot {bot.self_id} is connected to {os.getpid()}")


@driver.on_bot_disconnect
async def disconnected(bot: Bot) -> None:
    logger.info(f"bot {bot.self_id} is disconnected from {os.getpid()}")


@on_message().handle()
async def answer(bot: Bot, event: Event) -> None:
    text = event.get_plaintext()
    verb, _, rest = text.partition(" ")
    if verb == "background":
        asyncio.get_running_loop().create_task(asyncio.sleep(3600))
    elif verb == "wait":  # for a file
        logger.info(f"{os.getpid()} waits: {text}")
        while not Path(rest).exists():
            await asyncio.sleep(0.01)
    elif verb == "die":
        logger.info(f"{os.getpid()} dies: {text}")
        os._exit(9)
    elif verb == "info":
        result = await bot.call_api("get_info", text=rest)
        text = f"{text} {result}"
    elif verb == "replica":
        text = f"{text} {os.environ.get('LITEYUKI_REPLICA')}"
    elif verb == "raise":
        raise ValueError(text)
    await bot.send(event, f"{text}|{os.getpid()}")
    logger.info(f"answered: {text}")
