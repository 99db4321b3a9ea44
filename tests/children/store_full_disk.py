"""A store whose file can't grow for a while, and one that reads what was kept."""

from __future__ import annotations

import resource
import signal
import sys

from liteyuki_core import LiteyukiBot, StoreError, shared_memory

assert sys.platform != "win32", "nothing there limits the size of files"


def fills_it() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    bot = LiteyukiBot()
    kept = shared_memory.namespace("n", persist=True)
    kept["before"] = 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    errors = []
    try:
        for i in range(20):
            kept[f"key{i}"] = bytes([i]) * 50_000
    except StoreError as error:
        errors.append(str(error))
    print("told:", *errors)
    print("set:", all(kept[f"key{n}"] == bytes([n]) * 50_000 for n in range(i + 1)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    kept["after"] = 2

    @bot.on_after_start
    def stop() -> None:
        bot.stop()

    bot.run()
    print("index:", i)


def reads_it() -> None:
    bot = LiteyukiBot()
    kept = shared_memory.namespace("n", persist=True)
    print(sorted(kept), kept["before"], kept["after"])
    print(all(kept[k] == bytes([int(k[3:])]) * 50_000 for k in kept.keys("key")))
    bot.on_after_start(bot.stop)
    bot.run()
