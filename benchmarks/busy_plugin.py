"""A NoneBot plugin that answers each group message after 10 ms of processor time."""

from __future__ import annotations

from time import thread_time

from nonebot import on_message
from nonebot.adapters.onebot.v11 import Bot, GroupMessageEvent


@on_message().handle()
async def _answer(bot: Bot, event: GroupMessageEvent) -> None:
    until = thread_time() + 0.01
    while thread_time() < until:
        pass
    await bot.send(event, f"{event.message_id} {event.get_plaintext()}")
