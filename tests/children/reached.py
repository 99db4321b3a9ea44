"""Functions that workers call for other nodes of a cluster, and what these may not call."""

from __future__ import annotations

import asyncio
import os
import time
from functools import lru_cache, partial
from os import getcwd
from typing import Any

from liteyuki_core import shared_memory
from tests.children import worked
from tests.children.acting import kill

shouts = os.getcwd
shouts_partly = partial(os.getcwd)


def add(a: int, b: int = 1, *, c: int = 0) -> int:
    """Return the sum."""
    return a + b + c


async def add_async(a: int, b: int = 1) -> int:
    """Return the sum, from the loop."""
    await asyncio.sleep(0)
    return a + b


@lru_cache
def cached(number: int) -> int:
    """Return it, and keep it."""
    return number


def adds_slowly(a: int) -> int:
    """Return the sum with one, after a moment."""
    time.sleep(0.5)
    return a + 1


def pid_of() -> int:
    """Return the worker's process."""
    return os.getpid()


def begin_and_wait(key: str, seconds: float) -> None:
    """Say in the store which process runs this, and wait."""
    shared_memory[key] = os.getpid()
    time.sleep(seconds)


async def begin_and_wait_async(key: str, seconds: float) -> None:
    """Say in the store that it has begun, and whether it was cancelled."""
    shared_memory[key] = "begun"
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        shared_memory[key] = "cancelled"
        raise


def types_of(*args: Any, **kwargs: Any) -> list[Any]:
    """Return the names of the arguments' types, and whether the first two are one object."""
    given = [*args, *kwargs.values()]
    return [[type(each).__name__ for each in given], len(given) > 1 and given[0] is given[1]]


def same(given: Any) -> Any:
    """Return what is given."""
    return given


def pair() -> Any:
    """Return a tuple."""
    return 1, [2, (3,)]


def a_set() -> Any:
    """Return what is no plain data."""
    return {1, 2}


def raises(text: str) -> None:
    """Raise an error that can be pickled."""
    raise ValueError(text)


async def raises_async(text: str) -> None:
    """Raise one on the loop."""
    raise ValueError(text)


def dies(code: int) -> None:
    """End the worker, with last words."""
    print("its last words", flush=True)
    os._exit(code)


def dies_once(key: str) -> str:
    """End the worker the first time."""
    if shared_memory.incr(key) == 1:
        kill(os.getpid())
    return "done"


class Job:
    """A class of this module."""

    class Inner:
        """A class in it."""

        @staticmethod
        def name() -> str:
            """Return its name."""
            return "Inner"

    exits = staticmethod(os._exit)

    @classmethod
    def name(cls) -> str:
        """Return its name."""
        return cls.__name__

    def __call__(self) -> None:
        raise AssertionError


class Borrowed(partial[Any]):
    """A class of this module whose instances are called by a method from elsewhere."""


class Lent(dict[Any, Any]):
    """A class of this module that has methods from elsewhere."""


job = Job()
borrowed = Borrowed(os.getcwd)
whole = (getcwd, worked)
