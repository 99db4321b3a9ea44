"""How a test asks, with the sync or the async method of a channel, and what must be left of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from liteyuki_core.comm.channel import Channel
from tests.conftest import wait_until
from tests.pair import Pair, in_thread, run_async

Ask = Callable[..., Any]
"""Called with a channel, the data, a timeout (10 s) and `once`."""


def ask_sync(
    channel: Channel[Any], data: Any, timeout: float | None = 10, *, once: bool = False
) -> Any:
    """Ask on this thread."""
    return channel.request(data, timeout, once=once)


def ask_async(
    channel: Channel[Any], data: Any, timeout: float | None = 10, *, once: bool = False
) -> Any:
    """Ask on a loop of its own."""
    return run_async(channel.async_request(data, timeout, once=once))


class Asks:
    """A thread that asks, and what came of it."""

    def __init__(self, ask: Ask, channel: Channel[Any], data: Any, **kwargs: Any) -> None:
        self.outcome: Any = None

        def asks() -> None:
            try:
                self.outcome = ask(channel, data, 20, **kwargs)
            except Exception as error:
                self.outcome = error

        self._thread = in_thread(asks)

    def result(self) -> Any:
        """Wait for the outcome and return it."""
        self._thread.join(20)
        return self.outcome


def never_ends(channel: Channel[Any], begun: list[Any], **kwargs: Any) -> None:
    """Register a callback that has begun and does not end."""

    @channel.on_request(**kwargs)
    async def waits(data: Any) -> None:
        begun.append(data)
        await asyncio.sleep(60)


def nothing_is_left(*channels: Channel[Any]) -> None:
    """Wait until no table of any of these ends knows a request."""

    def rest() -> list[Any]:
        found: list[Any] = []
        for end in (channel._open() for channel in channels):
            found += end.asking._waiting, end.answering._here, end.answering._cancelled
            found += [end.answering._given, end.capacity - end.sending._free]
            found += [end.answering._inbox]
        return [each for each in found if each]

    wait_until(lambda: not rest(), "nothing is left")


def nothing_is_under_way(pair: Pair) -> None:
    """Wait until no hub has a request in custody or remembers one, and no node does."""

    def rest() -> list[Any]:
        hubs = pair.hubs()
        routes = [
            route for hub in hubs for route in hub.table.by_key.values() if route.has_requests
        ]
        found: list[Any] = pair.between_nodes()
        for each in (route.requests(i) for route in routes for i in (0, 1)):
            found += each._asked, each._answers, each.waiting, each.sent
        return [each for each in found if each]

    wait_until(lambda: not rest(), "nothing is under way")
