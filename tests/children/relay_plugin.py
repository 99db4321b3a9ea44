"""A NoneBot plugin that relays messages to main, and what comes back to where they came from."""

from __future__ import annotations

import asyncio
import threading

from nonebot import get_bot, get_driver, on_message, require
from nonebot.adapters.onebot.v11 import GroupMessageEvent

require("nonebot_plugin_liteyuki_comm")
from nonebot_plugin_liteyuki_comm import active_channel  # noqa: E402

place: tuple[asyncio.AbstractEventLoop, int] | None = None


def here() -> tuple[asyncio.AbstractEventLoop, int]:
    return asyncio.get_running_loop(), threading.get_ident()


@get_driver().on_startup
async def remember() -> None:
    global place
    place = here()


@on_message().handle()
async def to_main(event: GroupMessageEvent) -> None:
    await active_channel.async_send((event.self_id, event.group_id, event.get_plaintext()))


@active_channel.on_receive()
async def from_main(message: tuple[int, int, str]) -> None:
    self_id, group, text = message
    where = "NoneBot's loop" if here() == place else f"elsewhere: {here()}, not {place}"
    await get_bot(str(self_id)).send_group_msg(group_id=group, message=f"{text} on {where}")
