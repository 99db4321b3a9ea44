"""Gives alerts to another node of the cluster, where this one has nowhere to send them.

Ownership. A `Passing` owns the tasks that pass on, one for each alert that is under way. `give`
hands one to a node that sends.

Threads. LiteyukiBot's loop calls everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from .. import log
from ..language import say
from .recent import Recent

_RETRIES = (3.0, 10.0, 60.0, 300.0, 1200.0)
"""Seconds after which it is tried again. A node that sends may be about to start."""

_UNTIL_KNOWN = 2
"""Nodes that start together know of each other's services after so many tries."""

_MOST = 100
"""Alerts that are under way at a time."""

Give = Callable[[str, str], Awaitable[bool | None]]
"""Gives a subject and a text to a node that sends alerts; returns whether that has taken it, None
where no node of the cluster sends any."""


class Passing:
    """What `Sender` is where there are services: it has the same methods."""

    def __init__(self, give: Give) -> None:
        self._give = give
        self._recent = Recent()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    def send(self, subject: str, text: str) -> None:
        """Pass an alert on soon, unless it is what was sent about this subject in the last hour."""
        if self._recent.has(subject, text):
            return
        if len(self._tasks) >= _MOST:
            self._give_up(text)
            return
        self._recent.note(subject, text)
        task = asyncio.get_running_loop().create_task(
            self._try(subject, text), name="liteyuki-alert"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def forget(self, subject: str) -> None:
        """Forget what was sent about a subject: it is not as it was."""
        self._recent.forget(subject)

    async def close(self, timeout: float) -> None:
        """Give up what waits to be tried again; wait for the rest, at most `timeout` seconds."""
        self._closing.set()
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=timeout)
            for task in late:
                task.cancel()

    async def _try(self, subject: str, text: str) -> None:
        taken: bool | None = None
        for tries, wait in enumerate((*_RETRIES, None)):
            taken = await self._give(subject, text)
            if taken or (taken is None and tries >= _UNTIL_KNOWN):
                return
            if wait is None or not await self._may_wait(wait):
                break
        if taken is False:
            self._give_up(text)

    def _give_up(self, text: str) -> None:
        log.logger.error(
            say("an alert is given up that no other node has taken: {text}", text=text)
        )

    async def _may_wait(self, seconds: float) -> bool:
        """Wait; return False at once if the bot stops."""
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except asyncio.TimeoutError:
            return True
        return False
