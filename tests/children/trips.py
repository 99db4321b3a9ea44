"""Round trips on a loop of either kind until both processes' loops read their link themselves.

The first argument is the loop's name.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

from liteyuki_core import LiteyukiBot, get_channel
from liteyuki_core.comm import active_channel


def choose_loop(name: str) -> None:
    if name == "uvloop":
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


async def answer() -> None:
    async for data in active_channel:
        await active_channel.async_send(data)


def echo(loop: str) -> Coroutine[Any, Any, None]:
    choose_loop(loop)
    return answer()


def main() -> None:
    choose_loop(sys.argv[1])
    bot = LiteyukiBot()
    bot.add_process("echo", echo, args=(sys.argv[1],))
    channel = get_channel("echo-active")

    @bot.on_after_start
    async def trips() -> None:
        (peer,) = bot._comm._peers
        for i in range(1_000_000):
            await channel.async_send(i)
            assert await channel.async_receive() == i
            if i >= 3000 and peer.link._reader._loan is not None:
                print("lent", flush=True)
                bot.stop()

    bot.run()
