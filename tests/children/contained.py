"""A bot that is PID 1 of a container, or would be; a child of it leaves orphans."""

from __future__ import annotations

import asyncio
import glob
import os
import subprocess
import sys

from liteyuki_core import LiteyukiBot
from liteyuki_core.comm import active_channel
from tests.children import acting

_ORPHAN = """
import os, time
if os.fork() == 0:
    os.setsid()
    parent = os.getpid()
    if os.fork() == 0:
        while os.getppid() == parent:
            time.sleep(0.001)
        with open("parents", "a") as file:
            file.write(f"{os.getppid()}\\n")
"""


def leaves() -> None:
    """Start processes that outlive those who have started them."""
    for _ in range(5):
        subprocess.run([sys.executable, "-I", "-S", "-c", _ORPHAN], check=True)
    acting.say("orphans")
    active_channel.receive()


def zombies() -> list[str]:
    """Return the processes that nobody has reaped."""
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except OSError:
            continue
        if text.rpartition(")")[2].split()[0] == "Z":
            found.append(text)
    return found


def parents() -> list[str]:
    """Return who has adopted the orphans."""
    try:
        with open("parents", encoding="utf-8") as file:
            return file.read().split()
    except FileNotFoundError:
        return []


def main() -> None:
    """Run it, and say what becomes of the orphans."""
    bot = LiteyukiBot()
    bot.add_process("leaves", leaves)
    acting.say("main is 1:", os.getpid() == 1)

    @bot.on_after_start
    async def look() -> None:
        await bot.wait_ready("leaves", 30)
        own = subprocess.Popen([sys.executable, "-c", "import sys; sys.exit(7)"])
        acting.say("all run")
        await acting.until(lambda: len(parents()) == 5, "five orphans")
        acting.say("parents of orphans:", *set(parents()))
        await acting.until(lambda: len(zombies()) <= 1, lambda: f"{zombies()}")
        acting.say("exit code of main's own:", own.wait())
        await acting.until(lambda: not zombies(), lambda: f"{zombies()}")
        acting.say("zombies: none")
        while True:
            await asyncio.sleep(0.2)
            acting.say("tick")

    bot.run()
