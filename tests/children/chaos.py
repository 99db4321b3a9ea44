"""Children that answer requests, and fail as a request says; their main process is chaos_bot.py."""

from __future__ import annotations

import os
import threading
from typing import Any

from liteyuki_core import shared_memory
from liteyuki_core.comm import active_channel, passive_channel


def meet(request: Any) -> Any:
    """Return the answer to a request, or do what it says, but not again after the crash."""
    if not isinstance(request, str):
        return request
    if request == "raise":
        raise ValueError("as it was told")
    if shared_memory.incr(request) == 1:
        os._exit(7)
    return None


async def async_meet(request: Any) -> Any:
    if isinstance(request, str) and request.startswith("exit"):
        if await shared_memory.async_incr(request) == 1:
            os._exit(7)
        return None
    return meet(request)


def receives() -> None:
    for request in active_channel:
        try:
            answer = meet(request)
        except ValueError:
            continue
        if answer is not None:
            passive_channel.send(answer)


def callbacks() -> None:
    @active_channel.on_receive()
    def on_request(request: Any) -> None:
        answer = meet(request)
        if answer is not None:
            passive_channel.send(answer)

    threading.Event().wait()


async def loops() -> None:
    async for request in active_channel:
        try:
            answer = await async_meet(request)
        except ValueError:
            os._exit(8) if await shared_memory.async_incr("failures") % 2 else None
            continue
        if answer is not None:
            await passive_channel.async_send(answer)
