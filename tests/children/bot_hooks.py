"""Bots with hooks: their order and threads, hooks that raise, hooks that never return."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

from liteyuki_core import LiteyukiBot, logger
from tests.children import acting
from tests.children.targets import echo


def all_kinds() -> None:
    bot = LiteyukiBot()
    bot.add_process("echo", echo)
    main = threading.get_ident()
    lines: list[str] = []
    logger.add(lines.append)

    def note(what: str) -> None:
        print("hook", what, threading.get_ident() == main, flush=True)

    @bot.on_before_start
    def before_sync() -> None:
        assert bot.processes["echo"].pid is None
        note("before sync")

    @bot.on_before_start
    async def before_raises() -> None:
        raise ValueError("trouble before")

    @bot.on_before_start
    async def before_async() -> None:
        await asyncio.sleep(0.01)
        note("before async")

    @bot.on_after_start
    def after_raises() -> None:
        raise ValueError("trouble after")

    @bot.on_after_start
    async def after_async() -> None:
        assert bot.processes["echo"].pid is not None
        note("after async")
        while not any("trouble after" in line for line in lines):
            await asyncio.sleep(0.01)
        bot.stop()

    @bot.on_after_shutdown
    async def first_added() -> None:
        note("shutdown first added")

    @bot.on_after_shutdown
    def shutdown_raises() -> None:
        raise ValueError("trouble shutdown")

    @bot.on_after_shutdown
    async def last_added() -> None:
        assert bot.processes["echo"].exitcode == 0
        note("shutdown last added")

    acting.run(bot)


def late() -> None:
    bot = LiteyukiBot()
    stopping = threading.Event()

    @bot.on_after_start
    def raises_late() -> None:
        stopping.wait(10)
        raise ValueError("trouble late")

    @bot.on_after_start
    async def stop() -> None:
        bot.stop()

    @bot.on_after_shutdown
    async def shutting_down() -> None:
        lines: list[str] = []
        logger.add(lines.append)
        stopping.set()
        while not any("trouble late" in line for line in lines):
            await asyncio.sleep(0.01)

    acting.run(bot)


def never_returns() -> None:
    """Arguments: the kind of hook, and its door."""
    kind, door = sys.argv[1:]
    bot = LiteyukiBot()

    @bot.on_after_shutdown
    def last() -> None:
        print("last hook", flush=True)

    @bot.on_before_start
    def ready() -> None:
        print("begun", flush=True)

    def hook() -> None:
        time.sleep(1000)

    async def async_hook() -> None:
        await asyncio.sleep(1000)

    getattr(bot, f"on_{kind}")(hook if door == "sync" else async_hook)
    acting.run(bot)
