"""A NoneBot plugin that answers each message once it has called an API for it."""

from __future__ import annotations

import os

from nonebot import on_message
from nonebot.adapters import Bot, Event

from liteyuki_core import logger


@on_message().handle()
async def answer(bot: Bot, event: Event) -> None:
    text, pid = event.get_plaintext(), os.getpid()
    asked = f"{bot.self_id} {text} {pid}"
    told = await bot.call_api("get_info", asked=asked)
    if told != {"of": asked}:
        logger.error(f"a call for {asked} got {told}")
    await bot.send(event, f"{text}|{pid}")
