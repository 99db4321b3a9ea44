"""Main processes that end or break in one way each."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from liteyuki_core import LiteyukiBot, get_channel
from liteyuki_core.comm.hub.link_peer import LinkPeer
from liteyuki_core.comm.wire.batch import Batch
from tests.children import acting
from tests.children.targets import echo, stubborn, waits

# ------------------------------------------------------------- a closed terminal


def both() -> None:
    bot = LiteyukiBot()
    bot.add_process("waits", waits)
    bot.add_process("echo", echo)

    @bot.on_after_shutdown
    async def last() -> None:
        Path("exitcodes").write_text(str([p.exitcode for p in bot.processes.values()]))

    bot.run()


# ------------------------------------------------------------- a hook ends the loop


def a_hook() -> None:
    """Arguments: the kind of hook, and whether it stops the loop or exits."""
    kind, act = sys.argv[1:]
    bot = LiteyukiBot()
    bot.add_process("echo", echo)

    @bot.on_after_shutdown
    async def last() -> None:
        print("exit codes", [p.exitcode for p in bot.processes.values()], flush=True)

    async def ends() -> None:
        print("ends", flush=True)
        if act == "exit":
            sys.exit(7)
        asyncio.get_running_loop().stop()

    getattr(bot, f"on_{kind}")(ends)
    if kind == "after_shutdown":
        bot.on_after_start(bot.stop)
    acting.run(bot)


# ------------------------------------------------------------- what breaks


def hub_breaks() -> None:
    bot = LiteyukiBot()
    bot.add_process("waits", waits)
    bot.add_process("echo", echo)
    channel = get_channel("echo-active")
    hub: Any = bot._hub
    take, left = hub.data, [1]

    def breaks(peer: LinkPeer, number: int, batch: Batch) -> None:
        if peer.process == "echo" and left:
            left.pop()
            raise ZeroDivisionError("the hub has a bug")
        take(peer, number, batch)

    hub.data = breaks

    @bot.on_after_start
    async def use() -> None:
        channel.send("is lost to nobody")
        print(await channel.async_receive(), flush=True)
        print("restarts", [p.restarts for p in bot.processes.values()], flush=True)
        bot.stop()

    acting.run(bot)


def crashes() -> None:
    os._exit(7)


def supervisor_breaks() -> None:
    bot = LiteyukiBot()
    bot.add_process("waits", waits)
    bot.add_process("echo", echo)
    bot.add_process("crashes", crashes)
    hub: Any = bot._hub
    ended = hub.process_ended

    def breaks(name: str, *args: Any, **kwargs: Any) -> None:
        if name == "crashes":
            raise ZeroDivisionError("the hub has a bug")
        ended(name, *args, **kwargs)

    hub.process_ended = breaks

    @bot.on_after_shutdown
    def last() -> None:
        print("exit codes", [p.exitcode for p in bot.processes.values()], flush=True)

    acting.run(bot)


# ------------------------------------------------------------- it stops already


def stops_itself() -> None:
    bot = LiteyukiBot()
    bot.add_process("stubborn", stubborn)

    @bot.on_after_start
    async def stop() -> None:
        while not os.path.exists("stop"):
            await asyncio.sleep(0.01)
        bot.stop()

    bot.run()
