"""Waiting for a bot: after a restart a process runs before its bots are connected again.

Ownership. Only NoneBot's loop uses what waits here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nonebot import get_bots
from nonebot.adapters import Bot

from liteyuki_core.errors import BotNotConnected

if TYPE_CHECKING:
    from nonebot.drivers import Driver

_waiting: dict[asyncio.Future[Bot], str] = {}


async def wait_bot(self_id: str | int, timeout: float | None = None) -> Bot:
    """Return the bot with this id, as soon as it is connected.

    Waits at most `timeout` seconds, None: for ever. To be called on NoneBot's event loop, also
    while NoneBot starts up, where no bot can connect yet. Raises `BotNotConnected` when the time
    has passed.
    """
    name = str(self_id)
    found = get_bots().get(name)
    if found is not None:
        return found
    future: asyncio.Future[Bot] = asyncio.get_running_loop().create_future()
    _waiting[future] = name
    try:
        done, _ = await asyncio.wait({future}, timeout=timeout)
    finally:
        del _waiting[future]
    if not done:
        raise BotNotConnected(f"bot {name} has not connected within {timeout:g} s", name)
    return future.result()


def watch(driver: Driver) -> None:
    """Have `wait_bot` see the bots that connect from now on."""

    @driver.on_bot_connect
    async def wake(bot: Bot) -> None:
        for future, name in _waiting.items():
            if name == bot.self_id and not future.done():
                future.set_result(bot)
