"""How a test asks, with the sync or the async method of a channel, and what must be left of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from liteyuki_core.comm.channel import Channel
from tests.conftest import wait_until
from tests.pair import Pair, run_async

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
        routes = [route for hub in hubs for route in hub._keys.values() if route.has_requests]
        found: list[Any] = pair.between_nodes()
        for each in (route.requests(i) for route in routes for i in (0, 1)):
            found += each._asked, each._answers, each.waiting, each.sent
        return [each for each in found if each]

    wait_until(lambda: not rest(), "nothing is under way")
