"""A bot to look at: `python page_bot.py`. Four children that do nothing; main logs a line a second.

It says where its page is, on standard output, and stops at the end of standard input.
"""

from __future__ import annotations

import asyncio
import sys
import threading

from liteyuki_core import LiteyukiBot, logger
from liteyuki_core.comm import active_channel


def receive() -> None:
    """Wait in `receive`."""
    for _ in active_channel:
        pass


def main() -> None:
    """Run until standard input ends."""
    bot = LiteyukiBot()
    for number in range(4):
        bot.add_process(f"child-{number}", receive)

    @bot.on_after_start
    async def after_start() -> None:
        def wait() -> None:
            sys.stdin.read()
            bot.stop()

        threading.Thread(target=wait, daemon=True).start()
        number = 0
        while True:
            logger.info(f"line {number}: something that a bot says now and again")
            number += 1
            await asyncio.sleep(1)

    bot.run()


if __name__ == "__main__":
    main()
