"""Ours: `shared_memory` in a real LiteyukiBot and its real children, default settings.

The main process's part runs in a worker thread beside the bot's loop. Orders and reports go over
`NAME-passive`.
"""

from __future__ import annotations

import asyncio
from functools import partial

from side_liteyuki import NAME, run_bot, version
from store_work import STORE_WORK, Lane, StoreWork, drive, serve
from workloads import PATIENCE, choose_loop

from liteyuki_core import LiteyukiBot, shared_memory
from liteyuki_core.comm import get_channel, passive_channel

__all__ = ["NAME", "measure", "version"]


def measure(work: StoreWork, seconds: float) -> float:
    """Return how many operations a second the children do together."""
    choose_loop()
    bot = LiteyukiBot()
    names = [f"peer{number}" for number in range(work.children)]
    for name in names:
        bot.add_process(name, _child, (work.name,))
    return run_bot(bot, lambda: asyncio.to_thread(_drive, names, work, seconds))


def _drive(names: list[str], work: StoreWork, seconds: float) -> float:
    channels = [get_channel(f"{name}-passive") for name in names]
    lanes = [Lane(channel.send, partial(channel.receive, PATIENCE)) for channel in channels]
    return drive(shared_memory, lanes, work, seconds)


def _child(name: str) -> None:
    choose_loop()
    serve(shared_memory, passive_channel, passive_channel.send, STORE_WORK[name])
