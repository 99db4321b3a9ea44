"""A bot that runs until what is to be done with it is done, and says how that went."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any

from liteyuki_core import LiteyukiBot
from liteyuki_core.process import RestartPolicy

NEVER = RestartPolicy(mode="never")
QUICK = RestartPolicy(backoff=0.01, max_backoff=0.01)
AGAIN = RestartPolicy(max_restarts=1000, backoff=0.01, max_backoff=0.01)

KILL: int = getattr(signal, "SIGKILL", signal.SIGTERM)
"""The signal that ends a process at once, on each system."""


def kill(pid: int | None) -> None:
    """End a process at once."""
    assert pid is not None
    os.kill(pid, KILL)


def say(*words: object) -> None:
    """Write a line in one piece: other threads and processes write there too."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def until(
    condition: Callable[[], Any], what: str | Callable[[], str], seconds: float = 60
) -> None:
    """Wait until `condition` is true. Raises `TimeoutError`, which says `what` never was."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"never: {what() if callable(what) else what}")
        await asyncio.sleep(0.002)


def run(bot: LiteyukiBot) -> None:
    """Run `bot` until it is stopped, and say when that has returned."""
    bot.run(keep=True)
    print("run returned")


def main(bot: LiteyukiBot, act: Callable[[], Awaitable[None]]) -> None:
    """Run `bot` until `act` has ended; `tests.program.went_well` looks for its last word."""

    @bot.on_after_start
    async def guarded() -> None:
        try:
            await act()
            say("all is well")
        except BaseException as error:
            say(f"FAILED: {type(error).__name__}: {error}")
            raise
        finally:
            bot.stop()

    bot.run(keep=True)
