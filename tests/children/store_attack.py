"""A child that writes to all memory it shares with main, beside one that reads the store."""

from __future__ import annotations

import mmap
import os
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any

from liteyuki_core import LiteyukiBot, get_channel, shared_memory
from liteyuki_core.comm import active_channel
from tests.children import acting
from tests.children.acting import say

assert sys.platform == "linux", "elsewhere there is no way to such memory"

NONSENSE = [
    b"\xff" * 8,
    struct.pack("d", float("nan")),
    struct.pack("d", float("-inf")),
    struct.pack("d", -1e308),
]


def reader() -> None:
    for key in active_channel:
        found = shared_memory[key]
        shared_memory.incr(key)
        active_channel.send(found)


def files() -> Iterator[str]:
    mine = [f"/proc/self/fd/{n}" for n in os.listdir("/proc/self/fd") if int(n) > 2]
    for way in mine + [f"/proc/self/map_files/{m}" for m in maps()]:
        try:
            if os.readlink(way).startswith("/memfd:liteyuki"):
                yield way
        except OSError:
            pass


def maps() -> list[str]:
    try:
        return os.listdir("/proc/self/map_files")
    except OSError:
        return []


def ways(path: str) -> Iterator[int]:
    if "/fd/" in path:
        yield os.dup(int(path.rpartition("/")[2]))
    for flags in (os.O_RDWR, os.O_WRONLY, os.O_RDONLY, os.O_RDWR | os.O_TRUNC):
        try:
            yield os.open(path, flags)
        except OSError:
            pass


def attempt(act: Callable[..., object], *args: Any) -> int:
    try:
        act(*args)
    except (OSError, ValueError):
        return 0
    return 1


def scribble(file: int, nonsense: bytes) -> None:
    with mmap.mmap(file, 0) as memory:
        # Of the memory that a link needs: what the main process reads of it.
        memory[:] = nonsense * (len(memory) // 8)


def hostile() -> None:
    for turn in active_channel:
        tried = cut = written = 0
        for path in files():
            for file in ways(path):
                tried += 1
                nonsense = NONSENSE[turn % 4]
                cells = "cells" in os.readlink(path)
                there = attempt(os.pwrite, file, nonsense * 4096, 0)
                there += attempt(scribble, file, nonsense)
                written += cells and there
                size = os.fstat(file).st_size
                for length in (2 * size, 4096, 1, 0):
                    attempt(os.ftruncate, file, length)
                    cut += os.fstat(file).st_size != size
                os.close(file)
        active_channel.send(f"tried {tried > 5}, cut {cut}, cells written {written}")


def main() -> None:
    bot = LiteyukiBot()
    bot.add_process("hostile", hostile)
    bot.add_process("reader", reader)

    async def act() -> None:
        hostile, reader = get_channel("hostile-active"), get_channel("reader-active")

        async def right() -> None:
            for number in range(200):
                key = f"key{number % 7}"
                if number % 3:
                    await shared_memory.async_set(key, number)
                else:
                    number += shared_memory.get(key, 0)
                    await shared_memory.async_set(key, 0)
                    assert await shared_memory.async_incr(key, number) == number
                assert shared_memory[key] == number
                await reader.async_send(key)
                found = await reader.async_receive(20)
                assert found == number, (key, number, found)
                assert shared_memory[key] == number + 1

        await right()
        for turn in range(4):
            await hostile.async_send(turn)
            say(turn, await hostile.async_receive(20))
            await right()
        # It lives on, and may still use what it could not break.
        assert bot.processes["hostile"].restarts == 0

    acting.main(bot, act)
