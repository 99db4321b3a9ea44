"""Worker processes: ours, `concurrent.futures.ProcessPoolExecutor` and aiomultiprocess.

Each calls the functions of `workers_work.py` from one event loop. The peers' processes are spawned.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING

from side_liteyuki import run_bot
from workers_work import WORKERS, Calls
from workloads import NotMeasurable, choose_loop, require

from liteyuki_core import LiteyukiBot, workers

if TYPE_CHECKING:
    from collections.abc import Awaitable

EXECUTOR = "ProcessPoolExecutor"
AIOMULTIPROCESS = "aiomultiprocess"


def versions() -> dict[str, str]:
    """Return what is measured of the peers that are no part of Python."""
    try:
        require("aiomultiprocess")
    except NotMeasurable as error:
        return {AIOMULTIPROCESS: str(error)}
    return {AIOMULTIPROCESS: metadata.version("aiomultiprocess")}


def ours(work: Calls, seconds: float) -> float:
    """Return how many calls a second `async_call` makes, on LiteyukiBot's loop."""
    choose_loop()
    bot = LiteyukiBot()
    bot.add_workers("pool", WORKERS)
    call = partial(workers("pool").async_call, work.function)
    return run_bot(bot, lambda: work.measure(call, seconds))


def executor(work: Calls, seconds: float) -> float:
    """Return how many `run_in_executor` makes."""

    async def drive() -> float:
        context = multiprocessing.get_context("spawn")
        loop = asyncio.get_running_loop()
        with ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
            return await work.measure(
                lambda number: loop.run_in_executor(pool, work.function, number), seconds
            )

    choose_loop()
    return asyncio.run(drive())


def aiomultiprocess(work: Calls, seconds: float) -> float:
    """Return how many `Pool.apply` of aiomultiprocess makes."""
    require("aiomultiprocess")
    from aiomultiprocess import Pool

    async def drive() -> float:
        async with Pool(WORKERS) as pool:

            def call(number: int) -> Awaitable[object]:
                return pool.apply(work.async_function, (number,))  # type: ignore[no-any-return]

            return await work.measure(call, seconds)

    choose_loop()
    return asyncio.run(drive())
