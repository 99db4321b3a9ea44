"""Requests to the bots that are connected to NoneBot in a child.

A request goes to the child on its channel and waits there while the child is started again. If the
bot is not connected to the child now, the wait for it is here: so it holds up no stop of the child,
and a bot that has connected to the child's successor is found too.

Ownership. `Sessions` owns it, and the tasks in it end with their callers. LiteyukiBot's loop calls
everything.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from time import monotonic
from typing import Any

from ..comm import Channel
from ..errors import BotNotConnected, RemoteError
from ..process.state import ChildProcess, ProcessState
from .exchange import Missing, Request

CONNECT_SECONDS = 10.0
"""How long a request waits for its bot to connect to the child again."""

_OVER = (ProcessState.STOPPED, ProcessState.FAILED)


class _Place:
    """A bot in a child: how often it has connected, and the requests that wait for that."""

    def __init__(self) -> None:
        self.connected = 0
        self.waiting: set[asyncio.Future[None]] = set()


class Calls:
    """Passes requests on to children, and waits for bots that are not connected."""

    def __init__(
        self, children: Mapping[str, ChildProcess], channels: Mapping[str, Channel[Any]]
    ) -> None:
        """`channels` has the channel for each child, by the child's name."""
        self._children = children
        self._channels = channels
        self._places: defaultdict[tuple[str, str, str], _Place] = defaultdict(_Place)
        self._under_way: defaultdict[str, set[asyncio.Task[Any]]] = defaultdict(set)

    async def call(self, process: str, request: Request) -> Any:
        """Have a child do what is requested. Return the result.

        Raises `RemoteError` with what was raised there and for which request, `BotNotConnected`,
        `SendError` and `MessageTooLarge`.
        """
        self._check(process, request)
        task = asyncio.ensure_future(self._call(process, request))
        tasks = self._under_way[process]
        tasks.add(task)
        try:
            return await task
        except RemoteError as error:
            why = f"{error.type_name}: {error.message}" if error.type_name else error.message
            raise RemoteError(
                f"bot {request.bot} ({request.adapter}), {request.what}: {why}",
                error.channel,
                error.type_name,
                error.message,
                error.traceback,
            ) from error.__cause__
        except asyncio.CancelledError:
            if task not in tasks:
                raise self._unreachable(process, request) from None
            raise
        finally:
            tasks.discard(task)

    def connected(self, process: str, adapter: str, bot: str) -> None:
        """Learn that a bot has connected to a child. The requests that wait for it go on."""
        place = self._places[process, adapter, bot]
        place.connected += 1
        for waiting in place.waiting:
            if not waiting.done():
                waiting.set_result(None)

    def process_state(self, process: str, state: ProcessState) -> None:
        """Learn that a child has a new state. If it does not run any more, its requests fail."""
        if state in _OVER:
            tasks = self._under_way[process]
            given_up = list(tasks)
            tasks.clear()
            for task in given_up:
                task.cancel()

    def _check(self, process: str, request: Request) -> None:
        """Raise `BotNotConnected` if the child does not run and is not about to."""
        child = self._children.get(process)
        if child is None or child.state in _OVER:
            raise self._unreachable(process, request)

    def _unreachable(self, process: str, request: Request) -> BotNotConnected:
        return BotNotConnected(
            f"bot {request.bot} ({request.adapter}) can't be reached: process {process}, which it "
            "was connected to, does not run any more",
            request.bot,
        )

    async def _call(self, process: str, request: Request) -> Any:
        place = self._places[process, request.adapter, request.bot]
        channel = self._channels[process]
        deadline: float | None = None
        while True:
            connected = place.connected
            answer = await channel.async_request(request)
            if not isinstance(answer, Missing):
                return answer
            deadline = deadline or monotonic() + CONNECT_SECONDS
            if place.connected == connected:
                await self._connects(place, deadline - monotonic())
            if monotonic() >= deadline:
                raise BotNotConnected(
                    f"bot {request.bot} ({request.adapter}) is not connected to process {process}, "
                    f"and has not connected within {CONNECT_SECONDS:g} s",
                    request.bot,
                )

    async def _connects(self, place: _Place, timeout: float) -> None:
        waiting = asyncio.get_running_loop().create_future()
        place.waiting.add(waiting)
        try:
            await asyncio.wait({waiting}, timeout=timeout)
        finally:
            place.waiting.discard(waiting)
