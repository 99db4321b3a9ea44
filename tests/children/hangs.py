"""Children that hang, each in its own way, and healthy ones that only look like it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import threading
import time

from liteyuki_core import Channel, LiteyukiBot, get_channel
from liteyuki_core.comm import active_channel, passive_channel
from liteyuki_core.process import RestartPolicy
from tests.children.acting import QUICK, say
from tests.children.targets import echo

# ------------------------------------------------------------- stopped by a signal


def stopped() -> None:
    bot = LiteyukiBot()
    bot.add_process("kept", echo)
    bot.add_process("killed", echo, hang_action="restart", restart=RestartPolicy(backoff=0.01))

    async def talk(name: str) -> None:
        channel = get_channel(f"{name}-active")
        channel.send("hello")
        assert await channel.async_receive() == "hello"
        say(f"{name} is up")
        while not os.path.exists("stopped"):
            await asyncio.sleep(0.01)
        channel.send("meanwhile")
        while await channel.async_receive() != "meanwhile":
            pass  # It may have been stopped before it acknowledged the first.
        say(f"{name} has answered, restarts: {bot.processes[name].restarts}")

    @bot.on_after_start
    async def both() -> None:
        await asyncio.gather(talk("kept"), talk("killed"))

    bot.run()


# ------------------------------------------------------------- blocked


def wait_for_the_gate() -> None:
    began = time.monotonic()
    open("gate").close()
    say(f"blocked for {time.monotonic() - began}")


def callbacks() -> None:
    @active_channel.on_receive()
    async def handle(data: str) -> None:
        wait_for_the_gate()

    threading.Event().wait()


async def target() -> None:
    await active_channel.async_receive()
    wait_for_the_gate()
    await asyncio.sleep(3600)


def locked() -> None:
    active_channel.receive()
    # Python's lock is not let go of in this call.
    ctypes.PyDLL(None).open(b"gate", os.O_RDONLY)
    threading.Event().wait()


def blocked() -> None:
    bot = LiteyukiBot()
    for function in (callbacks, target, locked):
        bot.add_process(function.__name__, function)
    bot.add_process("nonebot", "liteyuki_core.frameworks.nonebot:run")
    bot.add_process("unwatched", callbacks, hang_timeout=0)

    @bot.on_after_start
    async def watch() -> None:
        for name in bot.processes:
            get_channel(f"{name}-active").send("wait for the gate")
        longest = dict.fromkeys(bot.processes, 0.0)
        while not os.path.exists("enough"):
            for name, child in bot.processes.items():
                longest[name] = max(longest[name], child.loop_lag or 0.0)
            await asyncio.sleep(0.01)
        say(f"longest: {longest}")

    bot.run()


# ------------------------------------------------------------- blocked by a message


def worker() -> None:
    @active_channel.on_receive()
    async def handle(data: str) -> None:
        if data == "poison":
            time.sleep(3600)
        passive_channel.send(data)

    threading.Event().wait()


def poison() -> None:
    bot = LiteyukiBot()
    bot.add_process("worker", worker, restart=QUICK)

    @bot.on_after_start
    async def watch() -> None:
        for data in ("poison", "good"):
            get_channel("worker-active").send(data)
        assert await get_channel("worker-passive").async_receive() == "good"
        say(f"set aside: {[letter.load() for letter in bot.dead_letters()]}")
        bot.stop()

    bot.run()


# ------------------------------------------------------------- a main process that stands still


async def turns() -> None:
    while True:
        await asyncio.sleep(0.05)


def main_stands_still() -> None:
    bot = LiteyukiBot()
    for name, target in (("echo", echo), ("turns", turns)):
        bot.add_process(name, target, hang_action="restart")

    @bot.on_after_start
    async def block() -> None:
        while bot.processes["turns"].loop_lag is None:
            await asyncio.sleep(0.01)
        time.sleep(2)
        say("no longer blocked")

    bot.run()


# ------------------------------------------------------------- healthy


def busy() -> None:
    def compute() -> None:
        while True:
            sum(range(1000))

    threading.Thread(target=compute, daemon=True).start()

    @active_channel.on_receive()
    async def handle(data: str) -> None:
        await passive_channel.async_send(len(data))

    threading.Event().wait()


def healthy() -> None:
    bot = LiteyukiBot()
    bot.add_process("spawned", echo)
    bot.add_process("nonebot", "liteyuki_core.frameworks.nonebot:run")
    bot.add_process("busy", busy)

    @bot.on_after_start
    async def flood() -> None:
        send, back = get_channel("busy-active"), get_channel("busy-passive")
        deadline = time.monotonic() + 6
        sending = asyncio.create_task(pour(send, deadline))
        count = 0
        async for size in back:
            count += 1
            if not size:
                break
        await sending
        say(f"flooded with {count}")

    async def pour(send: Channel[str], deadline: float) -> None:
        while time.monotonic() < deadline or bot.processes["busy"].loop_lag is None:
            await send.async_send("x" * 1000)
        await send.async_send("")

    bot.run()
