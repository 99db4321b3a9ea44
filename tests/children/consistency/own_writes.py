"""A process reads its own writes, in the thread or task that wrote and in another that was told.

`python -m tests.children consistency.own_writes COUNT`.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from queue import Queue

from liteyuki_core import LiteyukiBot, shared_memory
from tests.children import acting
from tests.children.acting import NEVER
from tests.children.consistency.parties import (
    NAMES,
    done,
    finish,
    threads_and_tasks,
    together,
    twin,
)

KEYS = itertools.count()


def own_key() -> str:
    # Every other one shares the cell of the one before.
    number = next(KEYS)
    key = f"{os.getpid()} {number // 2} "
    return twin(key) if number % 2 else key


def see(key: str, expected: object) -> None:
    seen = shared_memory.get(key)
    assert seen == expected, (key, seen, expected)


def thread(count: int) -> None:
    key = own_key()
    told: Queue[int | None] = Queue()
    seen: Queue[tuple[int, int]] = Queue()

    def another() -> None:
        while (number := told.get()) is not None:
            seen.put((number, shared_memory.get(key)))

    def write() -> None:
        for number in range(1, count):
            shared_memory[key] = number
            see(key, number)
            shared_memory.incr(key, 1000)
            see(key, number + 1000)
            shared_memory.update(key, lambda value: -value)
            see(key, -number - 1000)
            assert shared_memory.pop(key) == -number - 1000
            see(key, None)
            assert shared_memory.setdefault(key, number) == number
            told.put(number)
            there = seen.get(timeout=60)
            assert there == (number, number), (key, there)
            assert shared_memory.compare_and_set(key, number, "set")
            see(key, "set")
            assert shared_memory.delete(key)
            assert key not in shared_memory
        told.put(None)

    together(another, write)


async def task(count: int) -> None:
    key = own_key()
    for number in range(1, count):
        await shared_memory.async_set(key, number)
        see(key, number)
        await asyncio.to_thread(see, key, number)
        await shared_memory.async_incr(key, 1000)
        assert await shared_memory.async_get(key) == number + 1000
        shared_memory[key] = number
        assert await shared_memory.async_get(key) == number
        assert await shared_memory.async_pop(key) == number
        see(key, None)
        assert await shared_memory.async_get(key) is None


def writer(count: int) -> None:
    threads_and_tasks(lambda: thread(count), lambda: task(count))
    finish()


async def act(count: int) -> None:
    await asyncio.gather(asyncio.to_thread(thread, count), task(count), task(count))
    await done()


def main() -> None:
    count = int(sys.argv[1])
    bot = LiteyukiBot()
    for name in NAMES:
        bot.add_process(name, writer, (count,), restart=NEVER)
    acting.main(bot, lambda: act(count))
