"""Callers that do at random what can be done with a few keys, and write it down.

What they do they write to files, a line before each call and one after it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import sys
import time
from typing import Any

from liteyuki_core import LiteyukiBot, get_channel, shared_memory
from liteyuki_core.comm import passive_channel
from tests.children import acting
from tests.children.acting import AGAIN, NEVER, until
from tests.children.consistency.parties import NAMES, stay, threads_and_tasks, twin

KEYS = ("n:a", twin("n:a"), "n:b", "n:c")
SPACE = shared_memory.namespace("n")
WHAT = ("get",) * 5 + ("set", "delete", "incr", "compare_and_set", "pop", "setdefault", "items")
CALLERS = itertools.count(1)


class Caller:
    """One thread or task that does at random what can be done, and writes it down."""

    def __init__(self) -> None:
        number = next(CALLERS)
        file = f"history/{os.getpid()}-{number}"
        self.file = os.open(file, os.O_WRONLY | os.O_CREAT)
        # No two callers set the same.
        self.values = itertools.count(os.getpid() * 10**8 + number * 10**5)
        self.seen: dict[str, Any] = {}

    def write(self, *line: object) -> None:
        os.write(self.file, json.dumps(line).encode() + b"\n")

    def begin(self) -> tuple[str, str, tuple[Any, ...]]:
        what, key, new = random.choice(WHAT), random.choice(KEYS), next(self.values)
        arguments = {
            "set": (new,),
            "setdefault": (new,),
            "incr": (random.randint(1, 3),),
            "compare_and_set": (self.seen.get(key), new),
        }.get(what, ())
        started = time.monotonic()
        if what == "items":
            for each in KEYS:
                self.write("begin", started, each, "get", ())
        else:
            self.write("begin", started, key, what, arguments)
        return what, key, arguments

    def call(self, door: str, what: str, key: str, arguments: tuple[Any, ...]) -> Any:
        if what == "items":
            return getattr(shared_memory, door + what)("n:")
        if what == "incr" and random.random() < 0.5:
            (by,) = arguments
            what, arguments = "update", (lambda value: value + by, 0)
        elif what == "pop":
            arguments = (None,)
        if random.random() < 0.5:
            return getattr(shared_memory, door + what)(key, *arguments)
        return getattr(SPACE, door + what)(key[2:], *arguments)

    def end(self, what: str, key: str, result: Any) -> None:
        ended = time.monotonic()
        if what == "items":
            found = dict(result)
            for each in KEYS:
                self.write("end", ended, each, found.get(each))
        else:
            self.write("end", ended, key, result)
        if what == "get":
            self.seen[key] = result

    def thread(self, calls: int) -> None:
        for _ in range(calls):
            what, key, arguments = self.begin()
            self.end(what, key, self.call("", what, key, arguments))

    async def task(self, calls: int) -> None:
        for _ in range(calls):
            what, key, arguments = self.begin()
            # Sync code on a loop's thread may use it too.
            if random.random() < 0.3:
                result = self.call("", what, key, arguments)
            else:
                result = await self.call("async_", what, key, arguments)
            self.end(what, key, result)


def party(calls: int, count: int) -> None:
    threads_and_tasks(lambda: Caller().thread(calls), lambda: Caller().task(calls), count)
    passive_channel.send(os.getpid())
    stay()


def undisturbed() -> None:
    """Main calls as its children do."""
    calls = 250
    os.mkdir("history")
    bot = LiteyukiBot()
    for name in NAMES:
        bot.add_process(name, party, (calls, 2), restart=NEVER)

    async def act() -> None:
        await asyncio.gather(asyncio.to_thread(Caller().thread, calls), Caller().task(calls))
        for name in NAMES:
            await get_channel(f"{name}-passive").async_receive(60)

    acting.main(bot, act)


def with_kills() -> None:
    """Children are killed in the middle of what they do, as often as is said."""
    kills = int(sys.argv[1])
    os.mkdir("history")
    bot = LiteyukiBot()
    for name in NAMES:
        bot.add_process(name, party, (250, 1), restart=AGAIN)

    async def act() -> None:
        def written(pid: int | None) -> int:
            files = [f for f in os.scandir("history") if f.name.startswith(f"{pid}-")]
            return sum(f.stat().st_size for f in files)

        ended: set[int | None] = set()
        for name in NAMES:
            get_channel(f"{name}-passive").on_receive()(ended.add)
        for turn in range(kills):
            process = bot.processes[random.choice(NAMES)]
            pid, more = process.last_pid, random.randint(1, 5000)
            start = written(pid)
            await until(lambda: written(pid) > start + more or pid in ended, f"progress {turn}")
            acting.kill(pid)
            await until(lambda: process.pid not in (None, pid), f"a successor {turn}")
        await until(lambda: {bot.processes[n].last_pid for n in NAMES} <= ended, "all are done")

    acting.main(bot, act)
