"""What these programs share: the names of the children, and threads and tasks beside each other."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Awaitable, Callable, Iterable
from zlib import crc32

from liteyuki_core import get_channel
from liteyuki_core.comm import active_channel, passive_channel

NAMES = ("a", "b", "c", "d")


def cell(key: str) -> int:
    """Return what tells a child whether its copy of a key is current; keys share them."""
    return crc32(key.encode()) % 4096


def twin(key: str) -> str:
    """Return another key that shares the cell of this one."""
    return next(k for k in (f"{key}{n}" for n in itertools.count()) if cell(k) == cell(key))


def stay() -> None:
    """Live until main stops this child."""
    for _ in active_channel:
        pass


def finish() -> None:
    """Say that this child is done, and stay."""
    passive_channel.send("done")
    stay()


async def done(names: Iterable[str] = NAMES) -> None:
    """Wait until each child has said that it is done; one that raises ends, and so its channel."""
    for name in names:
        got = await get_channel(f"{name}-passive").async_receive(60)
        assert got == "done", (name, got)


def together(*calls: Callable[[], object]) -> None:
    """Call functions in threads of their own; raise what one of them raised."""
    errors = []

    def guarded(call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def threads_and_tasks(
    thread: Callable[[], object], task: Callable[[], Awaitable[object]], count: int = 2
) -> None:
    """Run `count` threads and as many tasks to their end, beside each other."""

    async def tasks() -> None:
        await asyncio.gather(*(task() for _ in range(count)))

    together(*[thread] * count, lambda: asyncio.run(tasks()))
