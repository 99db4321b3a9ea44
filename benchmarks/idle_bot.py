"""A bot that does nothing: `python idle_bot.py KIND...`, a kind of child each.

A child of kind `receive` waits in `receive`, one of kind `callbacks` for its `on_receive`, any
other is NoneBot on the driver of that name. `alone DRIVER` is NoneBot without a LiteyukiBot.
For each line on stdin it says in a line of JSON what its processes and their threads are
called; at the end of stdin it stops.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from typing import Any

from liteyuki_core import LiteyukiBot, get_channel
from liteyuki_core.comm import active_channel

PATIENCE = 60.0

Names = tuple[int, dict[int, str]]
"""A pid, and the names of its threads by the number that the system has for them."""


def threads() -> Names:
    """Return this process's own. Before Python 3.14 the system itself does not know the names."""
    return os.getpid(), {thread.native_id or 0: thread.name for thread in threading.enumerate()}


def free_address() -> dict[str, Any]:
    """Return where NoneBot can listen, as its settings."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host, port = probe.getsockname()
    return {"host": host, "port": port}


def receive() -> None:
    """Wait in `receive`."""
    for _ in active_channel:
        active_channel.send(threads())


def callbacks() -> None:
    """Wait for messages to a callback."""

    @active_channel.on_receive()
    async def answer(_: Any) -> None:
        await active_channel.async_send(threads())

    threading.Event().wait()


def say(names: dict[str, Names]) -> None:
    """Print them."""
    print(json.dumps(names), flush=True)


def host(kinds: list[str]) -> None:
    """Run a LiteyukiBot with a child of each kind."""
    bot = LiteyukiBot()
    for i, kind in enumerate(kinds, 1):
        name = f"child-{i}"
        if kind in ("receive", "callbacks"):
            bot.add_process(name, receive if kind == "receive" else callbacks)
        else:
            bot.add_process(
                name,
                "liteyuki_core.frameworks.nonebot:run",
                kwargs={
                    "pyproject": None,
                    "plugins": ["idle_plugin"],
                    "driver": kind,
                    **free_address(),
                },
            )

    @bot.on_after_start
    def answer() -> None:
        for _ in sys.stdin:
            names = {"main": threads()}
            for name in bot.processes:
                channel: Any = get_channel(f"{name}-active")
                channel.send(None)
                names[name] = channel.receive(PATIENCE)
            say(names)
        bot.stop()

    bot.run()


def alone(driver: str) -> None:
    """Run NoneBot as it is."""
    import nonebot

    nonebot.init(driver=driver, **free_address())

    def answer() -> None:
        for _ in sys.stdin:
            say({"NoneBot alone": threads()})
        signal.raise_signal(signal.SIGINT)

    nonebot.get_driver().on_startup(threading.Thread(target=answer, daemon=True).start)
    nonebot.run()


if __name__ == "__main__":
    if sys.argv[1] == "alone":
        alone(sys.argv[2])
    else:
        host(sys.argv[1:])
