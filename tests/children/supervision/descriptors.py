"""A main process that has no file descriptors left to start a child."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from liteyuki_core import LiteyukiBot, get_channel
from liteyuki_core.process import ProcessState
from tests.children import acting
from tests.children.acting import QUICK, say, until
from tests.children.targets import echo

assert sys.platform != "win32", "descriptors that can be limited"

OVER = (ProcessState.FAILED, ProcessState.RUNNING)


@contextmanager
def all_but(spare: int) -> Iterator[None]:
    """Take every descriptor that there is, but for so many."""
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        for file in taken[:spare]:
            os.close(file)
        del taken[:spare]
    try:
        yield
    finally:
        for file in taken:
            os.close(file)


def at_each_step() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, most))
    bot = LiteyukiBot()
    bot.add_process("old", echo)

    async def answers(name: str, data: str) -> None:
        channel = get_channel(f"{name}-active")
        channel.send(data)
        assert await channel.async_receive(20) == data

    def held() -> int:
        gc.collect()  # multiprocessing leaves a pipe of its own to it.
        count: int = psutil.Process().num_fds()
        return count

    async def act() -> None:
        await bot.wait_ready("old", 20)
        await answers("old", "before")
        before = held()
        bot.add_process("new", echo)
        new = bot.processes["new"]
        spare = failures = 0
        while new.state is not ProcessState.RUNNING:
            with all_but(spare):
                bot.start_process("new")
                await until(lambda: new.state in OVER, lambda: f"{new.state} with {spare}")
            if new.state is ProcessState.FAILED:
                failures += 1
                await until(lambda: held() <= before, lambda: f"{held()}, {before} before")
            spare += 1
        say(f"{failures} failures")
        await answers("old", "after")
        await answers("new", "at last")

    acting.main(bot, act)


def successor() -> None:
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    bot = LiteyukiBot()
    bot.add_process("echo", echo, restart=QUICK)

    async def act() -> None:
        await bot.wait_ready("echo", 20)
        child = bot.processes["echo"]
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, most))
        try:
            bot.restart_process("echo")
            await until(lambda: child.state is ProcessState.BACKOFF, lambda: f"{child.state}")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))
        await bot.wait_ready("echo", 20)
        channel = get_channel("echo-active")
        channel.send("hello")
        assert await channel.async_receive(20) == "hello"

    acting.main(bot, act)


def stopped() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, most))
    bot = LiteyukiBot()
    bot.add_process("echo", echo, restart=QUICK)

    async def act() -> None:
        child = bot.processes["echo"]
        await bot.wait_ready("echo", 20)
        for spare in range(1, 24, 2):
            bot.stop_process("echo")
            await until(lambda: child.state is ProcessState.STOPPED, lambda: f"{child.state}")
            with all_but(spare):
                bot.start_process("echo")
                for _ in range(1 + spare % 3):
                    await asyncio.sleep(0)
                bot.stop_process("echo")
                await until(
                    lambda: child.state is ProcessState.STOPPED,
                    lambda: f"{child.state} with {spare}",
                    20,
                )
        bot.start_process("echo")
        await bot.wait_ready("echo", 20)

    acting.main(bot, act)
