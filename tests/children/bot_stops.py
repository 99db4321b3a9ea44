"""Bots that run and are stopped, by themselves, by signals or because somebody dies."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from liteyuki_core import LiteyukiBot, get_bot, get_channel
from liteyuki_core.comm import active_channel, passive_channel
from tests.children import acting, targets
from tests.children.acting import NEVER
from tests.children.targets import echo, waits


def hosts() -> None:
    """The arguments are the names of the children: targets in targets.py."""
    bot = LiteyukiBot()
    for name in sys.argv[1:]:
        bot.add_process(name, getattr(targets, name))
    acting.run(bot)


def short() -> None:
    print("short is done", flush=True)


def stops_itself() -> None:
    bot = LiteyukiBot()
    bot.add_process("echo", echo)
    bot.add_process("short", short)
    channel = get_channel("echo-active")

    @bot.on_after_start
    def ends_at_once() -> None:
        print("hook has ended", flush=True)

    @bot.on_after_start
    async def later() -> None:
        while bot.processes["short"].exitcode is None:
            await asyncio.sleep(0.01)
        channel.send("still here")
        print(await channel.async_receive(), flush=True)
        print(bot.processes["echo"], flush=True)
        assert get_bot() is bot
        bot.stop()
        bot.stop()

    acting.run(bot)


# ------------------------------------------------------------- signals


def by_a_signal() -> None:
    """The first argument is a signal's name.

    Whoever runs the tests may ignore some signals, and children of theirs would too.
    """
    signal.signal(getattr(signal, sys.argv[1]), signal.SIG_DFL)
    bot = LiteyukiBot()
    bot.add_process("echo", echo)
    bot.add_process("waits", waits)
    acting.run(bot)


def signals_ignored() -> None:
    for name in ("SIGHUP", "SIGINT"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    bot = LiteyukiBot()
    bot.add_process("waits", waits)
    acting.run(bot)


# ------------------------------------------------------------- messages at the end


def worker() -> None:
    for job in active_channel:
        print("begun", flush=True)
        time.sleep(job)
        print("finished", flush=True)
        active_channel.send("result")


def in_hand() -> None:
    bot = LiteyukiBot()
    bot.add_process("worker", worker)
    channel = get_channel("worker-active")
    bot.on_after_start(lambda: channel.send(1))
    acting.run(bot)


def burst() -> None:
    for i in range(500):
        passive_channel.send(i)
    passive_channel.send(b"x" * 3_000_000)


def last_messages() -> None:
    bot = LiteyukiBot()
    bot.add_process("burst", burst)
    channel = get_channel("burst-passive")

    @bot.on_after_start
    async def collect() -> None:
        got = [data async for data in channel]
        assert got == [*range(500), b"x" * 3_000_000]
        print("all there", flush=True)
        bot.stop()

    acting.run(bot)


# ------------------------------------------------------------- a loop that hangs


def _waits() -> None:
    threading.Event().wait()


def _calls_into_c() -> None:
    # It takes minutes, and no signal breaks it off.
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)


def hung_loop(block: Callable[[], object] = _waits) -> None:
    bot = LiteyukiBot()
    bot.add_process("waits", waits)

    @bot.on_after_start
    async def blocks() -> None:
        while bot.processes["waits"].state.value != "running":
            await asyncio.sleep(0.01)
        print("blocking", flush=True)
        block()

    acting.run(bot)


def busy_loop() -> None:
    hung_loop(_calls_into_c)


# ------------------------------------------------------------- deaths


def callbacks() -> None:
    @passive_channel.on_receive()
    async def callback(data: object) -> None: ...

    print("ready", os.getpid(), flush=True)
    time.sleep(1000)


def receives() -> None:
    print("ready", os.getpid(), flush=True)
    active_channel.receive()


def blocks_signals() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("ready", os.getpid(), flush=True)
    while True:
        time.sleep(1000)


def main_is_killed() -> None:
    bot = LiteyukiBot()
    for target in (waits, callbacks, receives, blocks_signals):
        bot.add_process(target.__name__, target)
    acting.run(bot)


def crashes() -> None:
    active_channel.receive()
    os._exit(7)


def a_child_crashes() -> None:
    bot = LiteyukiBot()
    bot.add_process("echo", echo)
    bot.add_process("crashes", crashes, restart=NEVER)
    fine, broken = get_channel("echo-active"), get_channel("crashes-active")

    @bot.on_after_start
    async def use_both() -> None:
        broken.send("die")
        while bot.processes["crashes"].exitcode is None:
            fine.send("ping")
            assert await fine.async_receive(10) == "ping"
        for act in (lambda: broken.send("more"), broken.receive_nowait):
            try:
                act()
            except ConnectionError as error:
                print("got", type(error).__name__, error, flush=True)
        fine.send("last")
        print(await fine.async_receive(10), flush=True)
        bot.stop()

    acting.run(bot)
