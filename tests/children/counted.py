"""The documented example's main process, whose channels say what is sent before they send it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from liteyuki_core import Channel, LiteyukiBot, logger


class Counted:
    def __init__(self, channel: Channel[Any]) -> None:
        self.channel = channel

    def send(self, data: Any) -> None:
        logger.info(f"Sending: {data}")
        self.channel.send(data)


def main() -> None:
    bot = LiteyukiBot()
    bot.add_process("nonebot", "liteyuki_core.frameworks.nonebot:run")
    half: Any = import_module("examples.documented.main_process")
    half.channel_passive = Counted(half.channel_passive)
    half.channel_active = Counted(half.channel_active)
    bot.run()
