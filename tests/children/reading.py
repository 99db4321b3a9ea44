"""A child whose main thread asks the store without pause, and so reads its link; it is stopped.

In every life it says whether that thread has read. A counter tells that no answer came twice.
"""

from __future__ import annotations

import asyncio

from liteyuki_core import LiteyukiBot, get_channel, shared_memory
from liteyuki_core.comm import active_channel, passive_channel
from liteyuki_core.comm.current import current
from liteyuki_core.comm.link_port import LinkPort
from liteyuki_core.comm.wire.reader import _ThreadLoan
from tests.children import acting
from tests.children.acting import say

LIVES = 12


def ask() -> None:
    """Ask for ever, on the main thread; messages are answered by this process's own loop."""
    port = current().port
    assert isinstance(port, LinkPort)
    reader = port._link._reader

    @active_channel.on_receive()
    async def back(number: int) -> None:
        active_channel.send(number)

    said = False
    latest = shared_memory.incr("n")
    while True:
        number = shared_memory.incr("n")
        if number != latest + 1:
            say(f"FAILED: {number} after {latest}")
        latest = number
        if not said and isinstance(reader._loan, _ThreadLoan):
            said = True
            passive_channel.send("lent")


async def play(bot: LiteyukiBot) -> None:
    channel, told = get_channel("asks-active"), get_channel("asks-passive")
    for life in range(LIVES):
        assert await told.async_receive(30) == "lent"
        for number in range(20 * life):
            await channel.async_send(number)
            assert await channel.async_receive(30) == number
        await asyncio.to_thread(bot.restart_process, "asks")


def main() -> None:
    bot = LiteyukiBot()
    bot.add_process("asks", ask)
    acting.main(bot, lambda: play(bot))
