"""A bot whose service wants to know how it is; its children run, end, and fail when told to."""

from __future__ import annotations

import asyncio
import os
import sys
import time

from liteyuki_core import LiteyukiBot, get_channel
from liteyuki_core.comm import active_channel
from liteyuki_core.process import calls_ready, ready
from tests.children import acting


@calls_ready
def slow() -> None:
    """Be ready when a file is there; then end when a message comes, or at once."""
    while not os.path.exists("go"):
        if os.path.exists("die"):
            sys.exit(9)
        time.sleep(0.01)
    ready()
    active_channel.receive()
    sys.exit(9)


def job() -> None:
    """End at once."""


def main() -> None:
    """Run them. The first argument says what main does when a file `act` is there."""
    bot = LiteyukiBot()
    bot.add_process("slow", slow, restart=acting.NEVER)
    bot.add_process("job", job, restart=acting.NEVER)

    @bot.on_after_start
    async def act() -> None:
        acting.say("imported", "liteyuki_core.systemd" in sys.modules)
        await acting.until(lambda: os.path.exists("act"), "act")
        os.remove("act")
        match sys.argv[1:]:
            case ["fail"]:
                get_channel("slow-active").send("end")
            case ["block"]:
                acting.say("blocks")
                time.sleep(2)
                acting.say("blocked")
            case ["restart"]:
                bot.restart()
        await asyncio.Event().wait()

    bot.run()
