"""A lock whose holders, and who waits for it, are killed.

Each stay is two lines in the file `log`. Where the second is missing its process is dead.
`python -m tests.children consistency.locks KILLS`.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import re
import sys
import time

from liteyuki_core import LiteyukiBot, shared_memory
from tests.children import acting
from tests.children.acting import AGAIN, say, until
from tests.children.consistency.parties import NAMES, done, finish, threads_and_tasks

STAYS = itertools.count()


def write(*words: object) -> None:
    file = os.open("log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{' '.join(map(str, words))}\n".encode())
    os.close(file)


def enough() -> bool:
    return os.path.exists("enough")


def inside(mortal: bool) -> None:
    number = next(STAYS)
    write("enter", os.getpid(), number)
    count = shared_memory.get("count", 0)
    time.sleep(random.choice((0, 0.001)))
    if mortal and random.random() < 0.1:
        write("stuck", os.getpid(), number)
        while not enough():
            time.sleep(0.01)
    shared_memory["count"] = count + 1
    write("leave", os.getpid(), number)


def thread(mortal: bool = True) -> None:
    while not enough():
        with shared_memory.lock("door"):
            inside(mortal)


async def task(mortal: bool = True) -> None:
    while not enough():
        async with shared_memory.lock("door"):
            inside(mortal)
        # A lock that nobody else has is got without waiting.
        await asyncio.sleep(0)


def holder() -> None:
    threads_and_tasks(thread, task, 1)
    finish()


async def act(bot: LiteyukiBot, kills: int) -> None:
    mine = asyncio.gather(asyncio.to_thread(thread, False), task(False))
    killed: set[int] = set()

    def stuck() -> int:
        with open("log", "rb") as log:
            log.seek(-min(100, os.path.getsize("log")), os.SEEK_END)
            last = re.search(rb"stuck (\d+) \d+\n$", log.read())
        return int(last[1]) if last and int(last[1]) not in killed else 0

    async def kill(*pids: int) -> None:
        for pid in pids:
            acting.kill(pid)
            killed.add(pid)
        await until(lambda: not killed & set(living()), f"successors of {pids}")

    def living() -> list[int]:
        return [pid for name in NAMES if (pid := bot.processes[name].last_pid) is not None]

    try:
        for turn in range(kills):
            await until(stuck, f"somebody else is inside, and stuck {turn}")
            # Of those that wait some die too, and before it.
            others = random.sample([pid for pid in living() if pid != stuck()], turn % 3)
            await kill(*others, stuck())
            if turn % 4 == 0:
                await kill(random.choice(living()))
    finally:
        open("enough", "w").close()
    await asyncio.wait_for(mine, 60)
    await done()
    say(f"counted {shared_memory['count']}")


def main() -> None:
    kills = int(sys.argv[1])
    open("log", "w").close()
    bot = LiteyukiBot()
    for name in NAMES:
        bot.add_process(name, holder, restart=AGAIN)
    acting.main(bot, lambda: act(bot, kills))
