"""A NoneBot plugin that uses the store everywhere: at import, in hooks, on the loop, in threads."""

from __future__ import annotations

import threading

from nonebot import get_driver

from liteyuki_core import shared_memory

driver = get_driver()

assert shared_memory["from main"] == ["main"]
shared_memory["at import"] = 1
steps = shared_memory.namespace("steps")


@shared_memory.watch("told")
async def watch(change: object) -> None:
    await shared_memory.async_incr("watched")


@driver.on_startup
def sync_hook() -> None:
    steps.set("sync hook", shared_memory["at import"])


@driver.on_startup
async def async_hook() -> None:
    # Sync code on the loop's thread, with and without a copy at hand.
    for i in range(200):
        steps["on the loop"] = i
        assert steps["on the loop"] == i
        assert shared_memory.incr("added") == i + 1
    await steps.async_set("async hook", shared_memory.get("from main"))
    with shared_memory.lock("lock"):
        steps["locked"] = True
    threads = [threading.Thread(target=thread, args=(n,)) for n in range(4)]
    for started in threads:
        started.start()
    for started in threads:
        started.join()  # Blocks the loop; the store answers all the same.
    shared_memory["told"] = True


def thread(number: int) -> None:
    for _ in range(50):
        steps.incr("threads")


@driver.on_shutdown
async def on_shutdown() -> None:
    steps.set("shutdown", "async")
    await steps.async_set("shutdown", steps["shutdown"] + " sync")
