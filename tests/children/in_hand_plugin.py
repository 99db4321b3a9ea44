"""A NoneBot plugin that has messages in hand: the NoneBot child of in_hand.py."""

from __future__ import annotations

from nonebot import get_driver

from liteyuki_core import get_channel
from liteyuki_core.comm import active_channel
from tests.children.in_hand import Hand

driver = get_driver()


@driver.on_startup
def hook() -> None:
    hand = Hand("nonebot", "hook")
    while True:
        hand.handle(active_channel.receive())


@driver.on_startup
async def async_hook() -> None:
    hand = Hand("nonebot", "async_hook")
    channel = get_channel("nonebot-async_hook")
    while True:
        await hand.async_handle(await channel.async_receive())


get_channel("nonebot-nonebot_callback").on_receive()(
    Hand("nonebot", "nonebot_callback").async_handle
)
get_channel("nonebot-nonebot_sync_callback").on_receive()(
    Hand("nonebot", "nonebot_sync_callback").handle
)
