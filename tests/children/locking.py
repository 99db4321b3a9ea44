"""Bots that run in one working directory, and what they leave running when they are killed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time

from liteyuki_core import LiteyukiBot, get_channel
from liteyuki_core.process.project_lock import FILE
from tests.children import acting
from tests.children.targets import echo


def echoes() -> None:
    """Answer each time that there is a file `ask` over the child."""
    bot = LiteyukiBot()
    bot.add_process("echo", echo)
    channel = get_channel("echo-active")

    @bot.on_after_start
    async def run() -> None:
        print("started", os.getpid(), flush=True)
        while True:
            if os.path.exists("ask"):
                os.remove("ask")
                channel.send("echo of it")
                print(await channel.async_receive(), flush=True)
            await asyncio.sleep(0.01)

    acting.run(bot)


def echoes_on_a_full_disk() -> None:
    """The same, where nothing can be written to files."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    echoes()


def lingers() -> None:
    print("ready", os.getpid(), flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        if not os.path.exists("second"):
            time.sleep(60)


def leaves_an_orphan() -> None:
    bot = LiteyukiBot()
    bot.add_process("lingers", lingers)
    acting.run(bot)


def leaves_a_copy() -> None:
    bot = LiteyukiBot()

    @bot.on_after_start
    def forks() -> None:
        if os.path.exists("forked"):
            print("started again", flush=True)
            return
        open("forked", "w").close()
        print("forks", flush=True)
        if sys.platform != "win32":
            pid = os.fork()
            if pid == 0:
                while not os.path.exists("go"):
                    time.sleep(0.01)
                os._exit(0)
            print("copy", pid, flush=True)

    acting.run(bot)


def leaves_a_program() -> None:
    bot = LiteyukiBot()

    @bot.on_after_start
    def starts() -> None:
        if not os.path.exists("started"):
            open("started", "w").close()
            wait = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)"
            print("left", subprocess.Popen([sys.executable, "-c", wait]).pid, flush=True)
        bot.stop()

    acting.run(bot)


def one_after_another() -> None:
    """Two bots in one process; the first argument says whether their ends are in order."""
    for number in range(2):
        bot = LiteyukiBot()

        @bot.on_after_start
        async def end() -> None:
            if sys.argv[1] == "in order":
                bot.stop()
            else:
                asyncio.get_running_loop().stop()

        try:
            bot.run()
        except RuntimeError:
            pass
        with open(FILE) as file:
            print("ran", number, repr(file.read()), flush=True)
