"""Ends and restarts: what a child has started, main itself, what restarts leave behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import psutil

from liteyuki_core import Channel, LiteyukiBot, get_channel, shared_memory
from liteyuki_core.comm import active_channel
from liteyuki_core.process import RestartPolicy
from tests.children import acting
from tests.children.acting import NEVER, say, until
from tests.children.targets import receives

# ------------------------------------------------------------- hooks that never end


def never_ending(door: str) -> Callable[..., object]:
    """Return a hook."""

    async def async_hook(*_: object) -> None:
        await asyncio.sleep(1000)

    def hook(*_: object) -> None:
        time.sleep(1000)

    return hook if door == "sync" else async_hook


def hooks() -> None:
    """The first argument is the door of the hooks."""
    door = sys.argv[1]
    bot = LiteyukiBot()
    bot.add_process("w", receives)
    bot.on_before_process_restart(never_ending(door))
    bot.on_before_process_shutdown(never_ending(door))
    bot.on_process_state(never_ending(door))

    @bot.on_before_process_shutdown
    def raises(name: str) -> None:
        raise ValueError("shown")

    async def act() -> None:
        await bot.wait_ready("w", 20)
        bot.restart_process("w")
        await until(lambda: bot.processes["w"].restarts, "a restart")
        await bot.wait_ready("w", 20)

    acting.main(bot, act)


# ------------------------------------------------------------- what a child has started

FAMILY = """
import signal, subprocess, sys, time
if len(sys.argv) > 1:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
print("started", flush=True)
time.sleep(1000)
"""


def parent() -> None:
    for more in ([], ["stubborn"]):
        child = subprocess.Popen([sys.executable, "-c", FAMILY, *more], stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stdout.readline() == b"started\n"
    active_channel.send("ready")
    if active_channel.receive() == "crash":
        os._exit(5)


def family() -> None:
    """With an argument the child crashes instead of being stopped."""
    bot = LiteyukiBot()
    bot.add_process("parent", parent, restart=NEVER)
    channel = get_channel("parent-active")

    @bot.on_after_start
    async def act() -> None:
        say(await channel.async_receive(20))
        await until(lambda: os.path.exists("go"), "a go")
        if "crash" in sys.argv:
            channel.send("crash")
        await until(lambda: bot.processes["parent"].exitcode is not None, "its end")
        say("ended", bot.processes["parent"].exitcode)

    bot.run(keep=True)


# ------------------------------------------------------------- main restarts itself


def restart() -> None:
    """The first argument says when."""
    when = sys.argv[1]
    bot = LiteyukiBot()
    bot.add_process("w", receives)

    @bot.on_before_start
    async def begin() -> None:
        life = await shared_memory.async_incr("life")
        await shared_memory.async_set("life", life, persist=True)
        say("life", life, os.getpid(), *sys.argv[2:])
        if when == "while it starts" and life == 1:
            bot.restart()

    @bot.on_after_start
    async def act() -> None:
        await bot.wait_ready("w", 20)
        life = shared_memory["life"]
        say("child", bot.processes["w"].pid)
        if life < 3:
            bot.restart()
        else:
            bot.stop()

    @bot.on_before_process_shutdown
    async def shutdown(name: str) -> None:
        if when == "stopped by a signal meanwhile":
            signal.raise_signal(signal.SIGINT)

    bot.run()
    say("run returned")


# ------------------------------------------------------------- what is left


def brief() -> None:
    active_channel.send(os.getpid())


def nothing_left() -> None:
    bot = LiteyukiBot()
    bot.add_process(
        "brief",
        brief,
        restart=RestartPolicy(mode="always", max_restarts=1000, backoff=0.0, max_backoff=0.0),
    )

    def held() -> tuple[int, int]:
        me = psutil.Process()
        return me.num_fds() if hasattr(me, "num_fds") else 0, threading.active_count()

    async def act() -> None:
        child = bot.processes["brief"]
        await until(lambda: child.restarts == 5, "a few")
        before = held()
        await until(lambda: child.restarts == 15, "many")
        await until(lambda: held() <= before, f"no more than {before}")
        say("> held", *held(), "before", *before)

    acting.main(bot, act)


def busy() -> None:
    for number in range(1_000_000_000):
        channel: Channel[object] = Channel()
        active_channel.send(number)
        shared_memory["number"] = number
        channel.close()


def half_done() -> None:
    bot = LiteyukiBot()
    bot.add_process("busy", busy)
    got: list[int] = []
    get_channel("busy-active").on_receive(ordered=True)(got.append)

    async def act() -> None:
        child = bot.processes["busy"]
        for turn in range(12):
            await bot.wait_ready("busy", 20)
            before = len(got)
            await until(lambda: len(got) > before + turn, "it sends")
            bot.restart_process("busy")
            await until(lambda: child.restarts > turn, "it is started again")
        await bot.wait_ready("busy", 20)

    acting.main(bot, act)
