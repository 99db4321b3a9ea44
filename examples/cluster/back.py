"""Node "back": it talks to the child process of node "front" as if that were its own."""

import asyncio

from waiting import wait_for_server

from liteyuki_core import LiteyukiBot, get_channel, logger
from liteyuki_core.errors import ChannelNotFound

if __name__ == "__main__":
    wait_for_server()
    bot = LiteyukiBot()

    @bot.on_after_start
    async def talk() -> None:
        while True:
            try:
                channel = get_channel("worker-active")
                break
            except ChannelNotFound:  # "front" was not there yet, not even once.
                await asyncio.sleep(0.1)
        for number in range(1_000_000):
            await channel.async_send(f"hello {number} from back")
            logger.info(f"front answers: {await channel.async_receive()}")
            await asyncio.sleep(1)

    bot.run()
