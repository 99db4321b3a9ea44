"""A key that only grows, and who reads it in several threads and tasks of several processes."""

from __future__ import annotations

import asyncio
import threading

from liteyuki_core import LiteyukiBot, shared_memory
from tests.children import acting
from tests.children.acting import NEVER
from tests.children.consistency.parties import NAMES, done, finish, threads_and_tasks

COUNT = 600
LATEST = threading.Lock()
latest = 0


def look() -> int:
    # Under a lock, so that the reads of all threads of a process have one order.
    global latest
    with LATEST:
        seen: int = shared_memory.get("count", 0)
        assert seen >= latest, f"{seen} after {latest}"
        latest = seen
    return seen


def thread() -> None:
    while look() < 2 * COUNT:
        pass


async def task() -> None:
    last = 0
    while last < 2 * COUNT:
        seen = await shared_memory.async_get("count", 0)
        assert seen >= last, f"{seen} after {last}"
        last = max(seen, look())
        await asyncio.sleep(0)


def reader() -> None:
    threads_and_tasks(thread, task, 2)
    finish()


def writer() -> None:
    for _ in range(COUNT):
        shared_memory.incr("count")
    finish()


async def act() -> None:
    reading = asyncio.gather(asyncio.to_thread(thread), task())
    for _ in range(COUNT):
        await shared_memory.async_incr("count")
        await asyncio.sleep(0)
    await reading
    await done()


def main() -> None:
    bot = LiteyukiBot()
    for name in NAMES:
        target = writer if name == "d" else reader
        bot.add_process(name, target, restart=NEVER)
    acting.main(bot, act)
