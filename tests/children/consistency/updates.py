"""Whatever adds to a key, adds: of all processes at once."""

from __future__ import annotations

import asyncio

from liteyuki_core import LiteyukiBot, shared_memory
from tests.children import acting
from tests.children.acting import NEVER
from tests.children.consistency.parties import NAMES, done, finish, threads_and_tasks

COUNT = 50


def thread() -> None:
    for _ in range(COUNT):
        shared_memory.incr("incr")
        shared_memory.update("update", lambda value: value + 1, 0)
        value = shared_memory.get("cas")
        while not shared_memory.compare_and_set("cas", value, (value or 0) + 1):
            value = shared_memory.get("cas")


async def task() -> None:
    for _ in range(COUNT):
        await shared_memory.async_incr("incr")
        await shared_memory.async_update("update", lambda value: value + 1, 0)
        value = await shared_memory.async_get("cas")
        while not await shared_memory.async_compare_and_set("cas", value, (value or 0) + 1):
            value = await shared_memory.async_get("cas")


def adder() -> None:
    threads_and_tasks(thread, task)
    finish()


async def act() -> None:
    await asyncio.gather(asyncio.to_thread(thread), task())
    await done()
    total = COUNT * (4 * len(NAMES) + 2)
    added = shared_memory.get_all()
    assert added == dict.fromkeys(("incr", "update", "cas"), total), added


def main() -> None:
    bot = LiteyukiBot()
    for name in NAMES:
        bot.add_process(name, adder, restart=NEVER)
    acting.main(bot, act)
