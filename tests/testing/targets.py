"""Targets of children, beside the tests that use them."""

from __future__ import annotations

import sys
import time

from liteyuki_core import get_channel, shared_memory
from liteyuki_core.comm import active_channel, passive_channel


def echoes() -> None:
    """Send back what comes."""
    for data in active_channel:
        active_channel.send(data)


def counts() -> None:
    """Say of each message when it begins, work, and say which of how many handlings it was."""
    for data in active_channel:
        handling = shared_memory.incr(f"handlings of {data}")
        passive_channel.send(("begun", data, handling))
        while data == "waits" and handling == 1:
            time.sleep(0.01)
        passive_channel.send(("done", data, handling))


async def calls_back() -> None:
    """Do the same by a callback, and answer requests."""
    import asyncio

    @active_channel.on_receive()
    async def on_message(data: str) -> None:
        handling = await shared_memory.async_incr(f"handlings of {data}")
        await passive_channel.async_send(("begun", data, handling))
        await passive_channel.async_send(("done", data, handling))

    @active_channel.on_request()
    async def on_request(data: str) -> int:
        handling = await shared_memory.async_incr(f"handlings of {data}")
        await passive_channel.async_send(("asked", data, handling))
        return handling

    await asyncio.Event().wait()


def works(factor: int) -> None:
    """Multiply what is in a channel of its own."""
    jobs = get_channel("jobs")
    for number in jobs:
        jobs.send(number * factor)


def speaks() -> None:
    """Write a line, and wait."""
    print("here I am", flush=True)
    print("and an error", file=sys.stderr, flush=True)
    active_channel.receive()
