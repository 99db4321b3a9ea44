"""A NoneBot plugin that tells its process's id, by HTTP and to whoever writes to it."""

from __future__ import annotations

import os

from nonebot import get_app, on_message


async def tell() -> int:
    return os.getpid()


get_app().get("/")(tell)

messages = on_message()


@messages.handle()
async def answer() -> None:
    await messages.send(str(os.getpid()))
