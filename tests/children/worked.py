"""Functions that workers call in `workers.py`."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from liteyuki_core import ProcessTimeout, shared_memory, workers
from liteyuki_core.comm import current
from tests.children.acting import kill, say

PID = os.getpid()
"""The process that has imported this file."""

prepared: list[int] = []
"""The threads on which the initializer ran in this process."""

shared_memory.incr("imports") if current.process() else None


def prepare() -> None:
    """Be the initializer."""
    prepared.append(threading.get_ident())
    shared_memory.incr("initializers")


def fails_to_prepare() -> None:
    """Be an initializer that fails until the store says otherwise."""
    if not shared_memory.get("may start"):
        raise RuntimeError("no picture can be made")


async def prepares_async() -> None:
    """Be an initializer that is not allowed."""


class Strange(Exception):
    """Pickles and can't be rebuilt."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


class Local(Exception):
    """Can't be pickled."""

    def __reduce__(self) -> Any:
        raise TypeError("stays here")


class Kept:
    """Has functions, and can't be pickled."""

    def __reduce__(self) -> Any:
        raise TypeError("a Kept stays where it is")

    @staticmethod
    def triple(number: int) -> int:
        """Return three times the number."""
        return 3 * number

    @classmethod
    def name(cls) -> str:
        """Return the name of the class."""
        return cls.__name__


def where() -> tuple[str, bool, list[bool]]:
    """Say which process this is, whether this is its main thread, and who prepared it."""
    main = threading.main_thread()
    return (
        str(current.process()),
        threading.current_thread() is main,
        [ident == main.ident for ident in prepared],
    )


async def where_async() -> tuple[str, bool]:
    """Say which process this is and whether a loop runs here."""
    await asyncio.sleep(0)
    return str(current.process()), asyncio.get_running_loop().is_running()


def add(a: int, b: int = 1, *, c: int = 0) -> int:
    """Return the sum."""
    return a + b + c


def runs_a_loop() -> int:
    """Run a loop of its own: none runs on the main thread."""
    return asyncio.run(_three())


async def _three() -> int:
    return 3


def returns_awaitable() -> Any:
    """Return a coroutine, as a wrapped async function does."""
    return _three()


def block(size: int) -> bytes:
    """Return so many bytes."""
    return b"\x5a" * size


def raises(what: str) -> Any:
    """Raise something."""
    if what == "value":
        raise ValueError("no such colour")
    if what == "strange":
        raise Strange(1, 2)
    if what == "local":
        raise Local("here")
    if what == "stop":
        raise StopIteration("over")
    if what == "cancelled":
        raise asyncio.CancelledError
    return threading.Lock()


async def raises_async(what: str) -> Any:
    """Do the same on the loop."""
    return raises(what)


def returns_kept() -> Kept:
    """Return what can't be sent."""
    return Kept()


def generate() -> Iterator[int]:
    """Return a generator, which can't be sent either."""
    yield 1


def dies(how: str) -> None:
    """End this process."""
    print("these are", flush=True)
    say("its last words")
    if how == "exit":
        os._exit(3)
    if how == "sys.exit":
        sys.exit(4)
    if how == "clean":
        sys.exit(0)
    kill(os.getpid())


async def dies_async() -> None:
    """End this process from its loop."""
    sys.exit(5)


def dies_once(key: str) -> str:
    """End this process unless that was done before; return its name."""
    if shared_memory.incr(key) == 1:
        os._exit(7)
    return str(current.process())


def begin_and_wait(key: str, seconds: float) -> str:
    """Say in the store that this runs, and then that it has ended."""
    shared_memory.set(key, "begun")
    time.sleep(seconds)
    shared_memory.set(key, "ended")
    return str(current.process())


async def begin_and_wait_async(key: str, seconds: float) -> str:
    """Do the same on the loop, and say it if this is cancelled."""
    shared_memory.set(key, "begun")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        await shared_memory.async_set(key, "cancelled")
        raise
    await shared_memory.async_set(key, "ended")
    return str(current.process())


def until_file(path: str) -> str:
    """Wait for a file; return this process's name."""
    deadline = time.monotonic() + 60
    while not Path(path).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(path)
        time.sleep(0.002)
    return str(current.process())


def ends_a_worker() -> None:
    """Call, in a child, what lasts too long; then the next worker."""
    before = workers("render").call(pid_of)
    try:
        workers("render", timeout=0.5, kill=True).call(time.sleep, 600)
    except ProcessTimeout:
        say("child: another", workers("render", timeout=30).call(pid_of) != before)


def pid_of() -> int:
    """Return the process's id."""
    return os.getpid()


def maybe_dies(number: int) -> int:
    """End this process at every tenth number, else return its square."""
    if number % 10 == 9:
        os._exit(number % 100)
    return number * number


def asks_another(name: str) -> int:
    """Call a function in other workers."""
    return int(workers(name, timeout=30).call(add, 20, 22))


def calls_from_child() -> None:
    """Be a plain child that calls workers by both doors, and says what it got."""
    pool = workers("render", timeout=30)

    async def both() -> list[Any]:
        return [await pool.async_call(add, 1), *[x async for x in pool.async_map(add, [1, 2])]]

    say("child:", pool.call(add, 40, b=2), *pool.map(add, range(3)), *asyncio.run(both()))
