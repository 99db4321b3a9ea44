"""What the gateway knows of its child: whether it takes connections, and the way to it.

Owned by the gateway. LiteyukiBot's loop calls everything.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ..comm.channel import Channel
from ..process.state import ProcessState
from .exchange import Begun, Up

_OVER = (ProcessState.STOPPED, ProcessState.FAILED)


class Child:
    """One child, through all its lives."""

    def __init__(self, process: str, channel: Channel[Any], wait: float) -> None:
        """`wait` is how many seconds a request waits for a child that is away."""
        self.process = process
        self.channel = channel
        self.adapters: dict[str, str] = {}
        """By path: the name of the adapter that takes WebSockets there."""
        self._wait = wait
        self._is_up = False
        self.is_over = False
        """Whether the child is not about to run again by itself."""
        self._waiting: set[asyncio.Future[None]] = set()
        self._down: asyncio.Future[None] | None = None
        self._begun: dict[int, asyncio.Future[Begun]] = {}

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
        self.is_over = state in _OVER
        if state is ProcessState.RUNNING:
            return
        self._is_up = False
        if state is not ProcessState.STOPPING and self._down is not None and not self._down.done():
            self._down.set_result(None)
        if self.is_over:
            self._wake()

    def _wake(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    async def until_up(self, *, for_ever: bool = False) -> bool:
        """Wait until the child takes connections. Return False if it does not in time.

        `for_ever` waits until the child runs or is not about to run any more.
        """
        if self._is_up:
            return True
        if not self.is_over:
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.add(waiting)
            try:
                await asyncio.wait({waiting}, timeout=None if for_ever else self._wait)
            finally:
                self._waiting.discard(waiting)
        return self._is_up

    def begins(self, number: int) -> asyncio.Future[Begun]:
        """Return what is done when the answer to a request begins to come in pieces."""
        begun = self._begun[number] = asyncio.get_running_loop().create_future()
        return begun

    def has_begun(self, told: Begun) -> None:
        """Learn that an answer has begun."""
        begun = self._begun.get(told.id)
        if begun is None or begun.done():
            told.pieces.close()  # The client has left.
        else:
            begun.set_result(told)

    def forget(self, number: int) -> None:
        """Note that nobody waits for an answer any more. Close what has come of it."""
        begun = self._begun.pop(number)
        if begun.done():
            begun.result().pieces.close()
