"""Two keys of one cell that change all the time, in length too, while others read them.

Each value says whose it is and the how manyth, to its last character.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import Any

from liteyuki_core import LiteyukiBot, shared_memory
from tests.children import acting
from tests.children.acting import NEVER
from tests.children.consistency.parties import (
    NAMES,
    done,
    finish,
    stay,
    threads_and_tasks,
    twin,
)

COUNT = 1000
LENGTHS = (1, 100, 500, 900, 1100, 1400)
OURS = "key"
THEIRS = twin(OURS)


def value(key: str, number: int) -> Any:
    """Return the value that a key has at a number: a text, bytes, a list, or none."""
    text = f"{key} {number} " + chr(65 + number % 26) * LENGTHS[number % len(LENGTHS)]
    kinds: list[Any] = [text, text.encode(), [text], text, None]
    return kinds[number % len(kinds)]


def change(key: str, number: int) -> None:
    new = value(key, number)
    if new is None:
        shared_memory.delete(key)
    else:
        shared_memory.set(key, new, ttl=1000 if number % 2 else None)


class Reader:
    """One thread or task that reads both keys until they are said to change no more."""

    def __init__(self) -> None:
        self.latest = {OURS: 0, THEIRS: 0}

    def check(self, key: str, seen: Any) -> bool:
        """Check what was read; return whether it is the last."""
        if seen in (None, "end"):
            return seen is not None
        (text,) = seen if isinstance(seen, list) else [seen]
        if isinstance(text, bytes):
            text = text.decode()
        number = int(text.split()[1])
        assert seen == value(key, number), (key, seen)
        assert number >= self.latest[key], (key, number, self.latest)
        self.latest[key] = number
        return False

    def read(self) -> None:
        ended: set[str] = set()
        while len(ended) < 2:
            ended |= {key for key in self.latest if self.check(key, shared_memory.get(key))}

    async def async_read(self) -> None:
        ended: set[str] = set()
        while len(ended) < 2:
            for key in self.latest:
                if self.check(key, await shared_memory.async_get(key)):
                    ended.add(key)
            await asyncio.sleep(0)


def reader() -> None:
    threads_and_tasks(lambda: Reader().read(), lambda: Reader().async_read(), 1)
    finish()


def writer() -> None:
    for number in range(1, COUNT):
        change(THEIRS, number)
    shared_memory.set(THEIRS, "end")
    stay()


async def act() -> None:
    ended = threading.Event()

    def write() -> None:
        for number in itertools.count(1):
            change(OURS, number)
            if ended.is_set():
                break
        shared_memory.set(OURS, "end")

    def wait() -> None:
        here = Reader()
        while not here.check(THEIRS, shared_memory.get(THEIRS)):
            here.check(OURS, shared_memory.get(OURS))
        ended.set()

    await asyncio.gather(asyncio.to_thread(write), asyncio.to_thread(wait))
    await done(NAMES[:3])


def main() -> None:
    bot = LiteyukiBot()
    for name in NAMES:
        target = writer if name == "d" else reader
        bot.add_process(name, target, restart=NEVER)
    acting.main(bot, act)
