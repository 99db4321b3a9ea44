"""What the gateway knows of one child: whether it takes connections, and the way to it.

Owned by the gateway. The gateway's loop calls everything.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from ..comm.channel import Channel
from ..process.state import ProcessState
from .exchange import Begun, Up

_ANSWER_SECONDS = 0.1
_OVER = (ProcessState.STOPPED, ProcessState.FAILED)


class UnderWay(Protocol):
    """An HTTP request that was passed to the child."""

    number: int

    def begins(self, told: Begun) -> None:
        """Learn that the answer has begun."""

    def wake(self) -> None:
        """Look at whether the child is there."""


class Child:
    """One child, through all its lives."""

    def __init__(self, process: str, channel: Channel[Any], wait: float) -> None:
        """`wait` is how many seconds a request waits for a child that is away."""
        self.process = process
        self.channel = channel
        self.adapters: dict[str, str] = {}
        """By path: the name of the adapter that takes WebSockets there."""
        self._patience = wait
        self._is_up = False
        self.is_over = False
        """Whether the child is not about to run again by itself."""
        self._waiting: set[asyncio.Future[None]] = set()
        self._down: asyncio.Future[None] | None = None
        self._requests: dict[int, UnderWay] = {}

    @property
    def down(self) -> asyncio.Future[None]:
        """Done when the process that is there now, or comes next, has ended."""
        if self._down is None or self._down.done():
            self._down = asyncio.get_running_loop().create_future()
        return self._down

    def up(self, told: Up) -> None:
        """Learn that a process of the child takes connections."""
        self.adapters = told.adapters
        self._is_up, self.is_over = True, False
        self._wake()

    def state(self, state: ProcessState) -> None:
        """Learn that the child has a new state."""
        was_over, self.is_over = self.is_over, state in _OVER
        if state is ProcessState.RUNNING:
            return
        self._is_up = False
        if state is not ProcessState.STOPPING:
            if self._down is not None and not self._down.done():
                self._down.set_result(None)
            for request in self._requests.values():
                request.wake()
        if self.is_over is not was_over:
            self._wake()

    def _wake(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    async def until_up(self, *, for_ever: bool = False) -> bool:
        """Wait until the child takes connections. Return False if it does not in time.

        `for_ever` waits until the child runs or is not about to run any more.
        """
        if not self._is_up and not self.is_over:
            await self._wait(None if for_ever else self._patience)
        return self._is_up

    async def until_comes(self) -> None:
        """Wait until the child runs, or is about to run."""
        while self.is_over:
            await self._wait(None)

    async def _wait(self, timeout: float | None) -> None:
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            await asyncio.wait({waiting}, timeout=timeout)
        finally:
            self._waiting.discard(waiting)

    async def until_up_or_done(
        self, answer: asyncio.Future[Any], *, for_ever: bool = False
    ) -> bool:
        """Wait likewise for the successor of a process that has a request, or for its answer.

        Returns False if neither comes in time.
        """
        up = asyncio.ensure_future(self.until_up(for_ever=for_ever))
        await asyncio.wait({up, answer}, return_when=asyncio.FIRST_COMPLETED)
        if up.cancel() or answer.done() or up.result():
            return True
        # Whether a process had begun with it that has just ended, the hub says now.
        await asyncio.wait({answer}, timeout=_ANSWER_SECONDS)
        return answer.done()

    # ------------------------------------------------------------- HTTP requests

    def add(self, request: UnderWay) -> None:
        """Note that a request is passed to the child."""
        self._requests[request.number] = request

    def forget(self, request: UnderWay) -> None:
        """Note that nobody waits for its answer any more."""
        del self._requests[request.number]

    def has_begun(self, told: Begun) -> None:
        """Learn that an answer has begun."""
        request = self._requests.get(told.id)
        if request is None:
            told.pieces.close()  # The client has left.
        else:
            request.begins(told)
