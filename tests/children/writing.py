"""Children that write: by the logger, by print and past both, much, and at their very end."""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from liteyuki_core import LiteyukiBot, logger
from tests.children.acting import NEVER

NONEBOT = "liteyuki_core.frameworks.nonebot:run"


def run_until_all_have_ended(bot: LiteyukiBot) -> None:
    """Run a bot until its children have ended by themselves."""

    @bot.on_after_start
    async def when_all_have_ended() -> None:
        while any(child.exitcode is None for child in bot.processes.values()):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0)
        bot.stop()

    bot.run(keep=True)


# ------------------------------------------------------------- all ways of writing


def talk() -> None:
    logger.warning("by the logger")
    print("by print", flush=True)
    sys.stderr.write("to stderr\n")
    os.write(1, b"not UTF-8: \xff\n")
    os.write(2, b"no newline")


def talks() -> None:
    """The arguments are the names of the children."""
    bot = LiteyukiBot()
    for name in sys.argv[1:]:
        bot.add_process(name, talk)
    run_until_all_have_ended(bot)


def talks_beside_nonebot() -> None:
    bot = LiteyukiBot()
    bot.add_process("talks", talk, restart=NEVER)
    bot.add_process("nonebot", NONEBOT, kwargs={"driver": "~none"})
    bot.run()


def talk_json() -> None:
    logger.warning("雪 {} <red>")
    print("by print: 雪", flush=True)
    print('{"level": "ERROR"}', flush=True)
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        logger.exception("divided")
    raise ValueError("uncaught")


def json_beside_nonebot() -> None:
    bot = LiteyukiBot()
    bot.add_process("talks", talk_json, restart=NEVER)
    bot.add_process("nonebot", NONEBOT, kwargs={"driver": "~none"})
    bot.run()


def say_long() -> None:
    logger.info("x" * 300_000)
    print("y" * 300_000)


def long_lines() -> None:
    bot = LiteyukiBot()
    bot.add_process("long", say_long)
    run_until_all_have_ended(bot)


# ------------------------------------------------------------- last words


def raises() -> None:
    raise ValueError("uncaught")


def exits() -> None:
    os.write(1, b"said")
    os._exit(7)


def says() -> None:
    sys.exit("said")


def crashes() -> None:
    ctypes.string_at(0)


def aborts() -> None:
    os.abort()


def killed() -> None:
    print("said")
    os.kill(os.getpid(), 9)


ENDINGS = {each.__name__: each for each in (raises, exits, says, crashes, aborts, killed)}


def last_words() -> None:
    """The arguments are names of children, who end as these say."""
    bot = LiteyukiBot()
    for name in sys.argv[1:]:
        bot.add_process(name, ENDINGS[name], restart=NEVER)
    run_until_all_have_ended(bot)


LEFT = """
import pathlib, time
while not pathlib.Path("go").exists():
    time.sleep(0.01)
print("left behind", flush=True)
while not pathlib.Path("end").exists():
    time.sleep(0.01)
"""


def leave() -> None:
    subprocess.Popen([sys.executable, "-c", LEFT], start_new_session=True)
    os._exit(0)


def leaves() -> None:
    bot = LiteyukiBot()
    bot.add_process("leaves", leave)
    bot.run()


def be_orphaned() -> None:
    print("ready", flush=True)
    try:
        while True:
            time.sleep(0.1)
    finally:
        print("left alone", flush=True)


def orphan() -> None:
    bot = LiteyukiBot()
    bot.add_process("orphan", be_orphaned)
    bot.run()


# ------------------------------------------------------------- much


def chat() -> None:
    for i in range(60_000):
        print(f"line {i} " + "x" * 100)
    Path("said").touch()
    threading.Event().wait()


def chatty() -> None:
    bot = LiteyukiBot()
    bot.add_process("chatty", chat)
    Path("main").write_text("0")

    @bot.on_after_start
    async def goes_on() -> None:
        number = turns = 0
        while True:
            # More than there is room for, once lines of the child have been dropped.
            burst = 12_000 if number < 12_000 and Path("said").exists() else 1
            for _ in range(burst):
                logger.info(f"main {number}.")
                number += 1
            turns += 1
            Path("main").write_text(str(turns))
            await asyncio.sleep(0.005)

    bot.run()


def write(name: str, count: int) -> None:
    for i in range(count):
        logger.info(f"<{name} {i}>")


def all_write() -> None:
    bot = LiteyukiBot()
    for name in "abc":
        bot.add_process(name, write, (name, 2000))

    @bot.on_after_start
    async def main_writes() -> None:
        for i in range(2000):
            logger.info(f"<main {i}>")
            if i % 100 == 0:
                await asyncio.sleep(0)

    run_until_all_have_ended(bot)


def raising_handler() -> None:
    def handler(message: str) -> None:
        raise ValueError("of a handler")

    bot = LiteyukiBot()
    bot.add_process("a", write, ("a", 1000))
    logger.add(handler, level="ERROR", catch=False)
    run_until_all_have_ended(bot)


def raising_hook() -> None:
    bot = LiteyukiBot()

    @bot.on_before_start
    async def divides() -> None:
        bot.stop()
        logger.info(1 / 0)

    bot.run()


# ------------------------------------------------------------- a fork of main


def main_forks() -> None:
    bot = LiteyukiBot()

    @bot.on_after_start
    async def forks() -> None:
        if sys.platform != "win32":
            pid = os.fork()
            if pid == 0:
                logger.info("from the fork")
                os._exit(0)
            os.waitpid(pid, 0)
        bot.stop()

    bot.run()
