"""What bots are given as children, right and wrong, and what those do to the bot and each other."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time

from liteyuki_core import LiteyukiBot, get_channel
from liteyuki_core.comm import Channel, active_channel, set_channel
from liteyuki_core.comm.current import current
from liteyuki_core.comm.link_port import LinkPort
from tests.children import acting
from tests.children.acting import NEVER
from tests.children.targets import echo

# ------------------------------------------------------------- mistakes


def a_line() -> None:
    """The first argument is done to a bot before it runs: some Python."""
    bot = LiteyukiBot()
    known = {each.__name__: each for each in (echo, get_channel, threading)}
    exec(sys.argv[1], {"bot": bot, "active_channel": active_channel, **known})
    acting.run(bot)


def exits() -> None:
    sys.exit(5)


def raises() -> None:
    1 / 0  # noqa: B018


def cannot_run() -> None:
    """The first argument is the target: "exits", "raises", or as `add_process` takes it."""
    target = {"exits": exits, "raises": raises}.get(sys.argv[1], sys.argv[1])
    bot = LiteyukiBot()
    bot.add_process("bad", target, restart=NEVER)
    channel = get_channel("bad-active")

    @bot.on_after_start
    async def watch() -> None:
        try:
            await channel.async_receive(10)
        except ConnectionError as error:
            print("main got", type(error).__name__, flush=True)
        await asyncio.sleep(0)
        bot.stop()

    acting.run(bot)


# ------------------------------------------------------------- a LiteyukiBot in a child


class Own(LiteyukiBot):
    def __init__(self) -> None:
        super().__init__()


def make() -> LiteyukiBot:
    return LiteyukiBot()


def makes_bots() -> None:
    for kind in (make, Own, LiteyukiBot):
        try:
            kind()
        except Exception as error:
            active_channel.send(f"{type(error).__name__}: {error}")
    own = f"from {__name__} import make; make(); print('may have its own', flush=True)"
    os.mkdir("other")
    folder = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", own], cwd="other", env=folder, check=True)
    active_channel.send("still connected")
    active_channel.receive()


def bots_in_a_child() -> None:
    bot = LiteyukiBot()
    bot.add_process("child", makes_bots)

    @bot.on_after_start
    async def use() -> None:
        channel = get_channel("child-active")
        for _ in range(4):
            print("told", await channel.async_receive(20), flush=True)
        bot.stop()

    acting.run(bot)


# ------------------------------------------------------------- a copy made by fork


def forks() -> None:
    if sys.platform != "win32" and os.fork() == 0:
        os.setsid()
        try:
            active_channel.send("from the copy")
        except Exception as error:
            os.write(1, f"copy got {type(error).__name__}\n".encode())
        time.sleep(3)  # The copy outlives the child, and must not hide its end.
        os._exit(0)
    active_channel.send("from the child")
    active_channel.receive()  # Or another thread might still be about to write that.
    os._exit(9)


def fork() -> None:
    bot = LiteyukiBot()
    bot.add_process("forks", forks, restart=NEVER)
    channel = get_channel("forks-active")

    @bot.on_after_start
    async def watch() -> None:
        print(await channel.async_receive(10), flush=True)
        channel.send("go")
        try:
            await channel.async_receive(2)
        except Exception as error:
            print("main got", type(error).__name__, flush=True)
        bot.stop()

    acting.run(bot)


# ------------------------------------------------------------- added late, and async


def added_late() -> None:
    bot = LiteyukiBot()

    @bot.on_after_start
    async def add() -> None:
        bot.add_process("late", echo)
        channel = get_channel("late-active")
        channel.send("hello")
        print("echoed", await channel.async_receive(10), flush=True)
        bot.stop()

    acting.run(bot)


async def doubles() -> None:
    async for data in active_channel:
        await active_channel.async_send(data * 2)
    print("worker is done", flush=True)


def an_async_target() -> None:
    bot = LiteyukiBot()
    bot.add_process("worker", doubles)
    channel = get_channel("worker-active")

    @bot.on_after_start
    async def use() -> None:
        channel.send(21)
        print("got", await channel.async_receive(10), flush=True)
        bot.stop()

    acting.run(bot)


# ------------------------------------------------------------- one message


def one_message() -> None:
    bot = LiteyukiBot()
    bot.add_process("echo", echo)
    channel = get_channel("echo-active")

    @bot.on_after_start
    async def use() -> None:
        channel.send("works")
        print(await channel.async_receive(), flush=True)
        bot.stop()

    acting.run(bot)


# ------------------------------------------------------------- nonsense on the link


def talks_nonsense() -> None:
    active_channel.receive()
    port = current().port
    assert isinstance(port, LinkPort)
    port._link._connection.send(b"nonsense" * 100)
    active_channel.receive()


def garbage() -> None:
    bot = LiteyukiBot()
    bot.add_process("echo", echo)
    bot.add_process("nonsense", talks_nonsense, restart=NEVER)
    fine, bad = get_channel("echo-active"), get_channel("nonsense-active")

    @bot.on_after_start
    async def use_both() -> None:
        bad.send("go")
        try:
            await bad.async_receive(10)
        except ConnectionError as error:
            print("main got", type(error).__name__, flush=True)
        fine.send("still here")
        print(await fine.async_receive(10), flush=True)
        bot.stop()

    acting.run(bot)


# ------------------------------------------------------------- from child to child


def maker() -> None:
    channel: Channel[object] = Channel("jobs", capacity=8)
    set_channel("jobs", channel)
    active_channel.send("made")
    assert channel.receive(10) == {"job": 1}
    channel << "result"
    assert list(channel) == []


def getter() -> None:
    assert active_channel.receive(10) == "now"
    channel = get_channel("jobs")
    channel.send({"job": 1})
    active_channel.send(channel.receive(10))
    channel.close()  # The message is handled.
    active_channel.receive()


def child_to_child() -> None:
    bot = LiteyukiBot()
    bot.add_process("maker", maker)
    bot.add_process("getter", getter)
    made, got = get_channel("maker-active"), get_channel("getter-active")

    @bot.on_after_start
    async def introduce() -> None:
        print(await made.async_receive(10), flush=True)
        got.send("now")
        print(await got.async_receive(10), flush=True)
        bot.stop()

    acting.run(bot)
