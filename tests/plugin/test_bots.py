"""Waiting for a bot that is not connected yet."""

from __future__ import annotations

import asyncio

import nonebot
import pytest
from nonebot.plugin import Plugin
from nonebug import App

from liteyuki_core.errors import BotNotConnected
from tests.conftest import DEADLINE


async def test_a_bot_that_is_connected(plugin: Plugin, app: App) -> None:
    """It is returned at once, whether its id is given as text or as a number."""
    from nonebot_plugin_liteyuki_comm import wait_bot

    async with nonebot.get_driver()._lifespan, app.test_api() as context:
        bot = context.create_bot(self_id="10001")
        assert await wait_bot("10001") is bot
        assert await wait_bot(10001, timeout=0) is bot


async def test_a_bot_that_connects_later(plugin: Plugin, app: App) -> None:
    """All who wait for it get it, and nobody who waits for another one."""
    from nonebot_plugin_liteyuki_comm import bots, wait_bot

    waiting = [asyncio.create_task(wait_bot("10002", DEADLINE)) for _ in range(3)]
    other = asyncio.create_task(wait_bot("10003"))
    await asyncio.sleep(0)
    async with nonebot.get_driver()._lifespan, app.test_api() as context:
        context.create_bot(self_id="10004")
        bot = context.create_bot(self_id="10002")
        assert await asyncio.gather(*waiting) == [bot] * 3
        assert not other.done()
    other.cancel()
    with pytest.raises(asyncio.CancelledError):
        await other
    assert not bots._waiting


async def test_a_bot_that_never_connects(plugin: Plugin) -> None:
    """An error that names it."""
    from nonebot_plugin_liteyuki_comm import wait_bot

    with pytest.raises(BotNotConnected, match=r"bot 10005 has not connected within 0\.01 s") as got:
        await wait_bot("10005", timeout=0.01)
    assert got.value.bot == "10005"
