"""Bots whose store outlives them: who sets durable keys writes down which were confirmed."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

from liteyuki_core import LiteyukiBot, StoreError, shared_memory
from liteyuki_core.comm.storage import SharedMemory


def store(who: str) -> SharedMemory:
    return shared_memory.namespace(who, persist=True)


def run(
    check: Callable[[str], None], write: Callable[[str], None], child: Callable[[], None]
) -> None:
    """Have main and a child check what they confirmed in former lives, then write."""
    bot = LiteyukiBot()
    check("main")
    check("child")
    bot.add_process("writer", child)

    @bot.on_after_start
    def hook() -> None:
        write("main")

    bot.run()


# ------------------------------------------------------------- killed again and again


def check(who: str) -> None:
    mine = store(who)
    confirmed = Path(f"{who}.txt")
    last = int(confirmed.read_text().split()[-2]) if confirmed.exists() else -1
    held = dict(mine.items("k"))
    missing = [i for i in range(max(0, last - 399), last + 1) if f"k{i}" not in held]
    torn = [k for k, (crc, data) in held.items() if zlib.crc32(data) != crc]
    counted = mine.get("count", 0)
    print(
        f"{who}: {last + 1} confirmed, {len(missing)} lost, {len(torn)} torn,"
        f" count {'ok' if counted >= last + 1 else 'lost'}",
        flush=True,
    )


def write(who: str) -> None:
    mine = store(who)
    confirmed = Path(f"{who}.txt")
    i = int(confirmed.read_text().split()[-2]) + 1 if confirmed.exists() else 0
    with confirmed.open("a") as file:
        while True:
            data = bytes([i % 256]) * (i * 7919 % 20000)
            mine[f"k{i}"] = zlib.crc32(data), data
            mine.delete(f"k{i - 401}")
            mine.incr("count")
            file.write(f"{i} .\n")
            file.flush()
            i += 1


def child() -> None:
    print("writing", flush=True)
    write("child")


def killed() -> None:
    run(check, write, child)


# ------------------------------------------------------------- a file that is lost


def confirmed(who: str) -> list[int]:
    path = Path(f"{who}.txt")
    return [int(x.split()[0]) for x in path.read_text().splitlines() if x.endswith(".")]


def check_again(who: str) -> None:
    if not Path(f"{who}.txt").exists():
        return
    held = dict(store(who).items("k"))
    lost = [i for i in confirmed(who) if held.get(f"k{i}") != i]
    print(f"{who}: {len(lost)} lost", flush=True)


def write_on(who: str) -> None:
    if Path("again").exists():
        print("writing", flush=True)
        threading.Event().wait()
    mine = store(who)
    i = 0
    with open(f"{who}.txt", "a") as file:
        while True:
            try:
                mine[f"k{i}"] = i
            except StoreError as error:
                print(f"{who} is told: {error}", flush=True)
            else:
                file.write(f"{i} .\n")
                file.flush()
            i += 1


def writing_child() -> None:
    write_on("child")


def lost() -> None:
    run(check_again, write_on, writing_child)


# ------------------------------------------------------------- what is kept and what is not


def write_all_kinds() -> None:
    bot = LiteyukiBot()
    bot.on_after_start(bot.stop)
    shared_memory.set("plain", 1)
    shared_memory.set("kept", [1], persist=True)
    shared_memory["kept"] = [2]
    shared_memory.set("counted", 1, persist=True)
    shared_memory.incr("counted")
    shared_memory.update("kept", lambda found: [*found, 3])
    shared_memory.set("deleted", 1, persist=True)
    shared_memory.delete("deleted")
    shared_memory.set("unkept", 1, persist=True)
    shared_memory.set("unkept", 2, persist=False)
    shared_memory.set("cleared", 1, persist=True)
    shared_memory.clear("clear")
    shared_memory.set("short", 1, ttl=0.2, persist=True)
    shared_memory.set("expired", 1, ttl=0.01, persist=True)
    shared_memory.set("long", 1, ttl=3600, persist=True)
    bot.run()


def read_all_kinds() -> None:
    bot = LiteyukiBot()
    bot.on_after_start(bot.stop)
    deadline = time.monotonic() + 20
    while "short" in shared_memory and time.monotonic() < deadline:
        time.sleep(0.01)
    print(shared_memory.get_all())
    bot.run()


# ------------------------------------------------------------- two bots, and none


def second_bot() -> None:
    bot = LiteyukiBot()
    shared_memory.set("key", 1, persist=True)
    code = "from liteyuki_core import LiteyukiBot; LiteyukiBot()"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    print(other.returncode, other.stderr.splitlines()[-1])
    shared_memory.set("key", 2, persist=True)
    bot.on_after_start(bot.stop)
    bot.run()


def no_file() -> None:
    LiteyukiBot()
    for call in (
        lambda: shared_memory.set("key", 1, persist=True),
        lambda: shared_memory.namespace("n", persist=True).incr("key"),
    ):
        try:
            call()
        except StoreError as error:
            print(error, error.key)
    print(shared_memory.get_all())
