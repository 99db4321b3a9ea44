"""A NoneBot plugin that answers each group message where it is received: in NoneBot's process."""

from __future__ import annotations

from nonebot import on_message
from nonebot.adapters.onebot.v11 import Bot, GroupMessageEvent


@on_message().handle()
async def _answer(bot: Bot, event: GroupMessageEvent) -> None:
    await bot.send(event, f"{event.message_id} {event.get_plaintext()}")
