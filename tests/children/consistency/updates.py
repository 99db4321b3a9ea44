"""Whatever adds to a key, adds: of all processes at once.

`python -m tests.children consistency.updates COUNT`.
"""

from __future__ import annotations

import asyncio
import sys

from liteyuki_core import LiteyukiBot, shared_memory
from tests.children import acting
from tests.children.acting import NEVER
from tests.children.consistency.parties import NAMES, done, finish, threads_and_tasks


def thread(count: int) -> None:
    for _ in range(count):
        shared_memory.incr("incr")
        shared_memory.update("update", lambda value: value + 1, 0)
        value = shared_memory.get("cas")
        while not shared_memory.compare_and_set("cas", value, (value or 0) + 1):
            value = shared_memory.get("cas")


async def task(count: int) -> None:
    for _ in range(count):
        await shared_memory.async_incr("incr")
        await shared_memory.async_update("update", lambda value: value + 1, 0)
        value = await shared_memory.async_get("cas")
        while not await shared_memory.async_compare_and_set("cas", value, (value or 0) + 1):
            value = await shared_memory.async_get("cas")


def adder(count: int) -> None:
    threads_and_tasks(lambda: thread(count), lambda: task(count))
    finish()


async def act(count: int) -> None:
    await asyncio.gather(asyncio.to_thread(thread, count), task(count))
    await done()
    total = count * (4 * len(NAMES) + 2)
    added = shared_memory.get_all()
    assert added == dict.fromkeys(("incr", "update", "cas"), total), added


def main() -> None:
    count = int(sys.argv[1])
    bot = LiteyukiBot()
    for name in NAMES:
        bot.add_process(name, adder, (count,), restart=NEVER)
    acting.main(bot, lambda: act(count))
