"""What the turns of event loops gather: messages that one turn sends leave together, after it.

All ends that gather in a turn of a loop are passed on by one callback of that loop. So a turn costs
one frame a channel, and one system call for all of them.

Invariants, under the site's lock: an end stands in the turn of one loop at most, from `begin` until
that turn ends; each turn that has begun ends, by its loop's callback or, where that loop stands
still, by the attendant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from ... import log
from ..loop.site import Site

_QUICK_SECONDS = 0.0001


class Gathering(Protocol):
    """What gathers messages in a turn. All is called under the lock."""

    @property
    def name(self) -> str:
        """The channel's name, for the log."""

    def pass_on(self) -> None:
        """Pass on what was gathered so far."""

    def end_turn(self) -> int:
        """Pass on all that was gathered, and gather no more; return how much of it is dropped."""

    def lock_out(self) -> None:
        """Have the loop of this turn, should it run on, wait for the lock before it gathers."""


class Turns:
    """The turns in which ends of this process gather messages."""

    def __init__(self, site: Site, pump: Callable[[], None]) -> None:
        self._site = site
        self._pump = pump
        self._turns: dict[asyncio.AbstractEventLoop, list[Gathering]] = {}
        self._still: dict[asyncio.AbstractEventLoop, list[Gathering]] = {}
        """Those whose loop did not run when they were last looked at."""
        self._watches = False
        """Whether the attendant is about to look at them."""
        self._last_sent = 0.0

    def sends_quickly(self) -> bool:
        """Return whether messages are sent in quick succession: then it pays to gather them.

        Under the lock.
        """
        now = monotonic()
        last, self._last_sent = self._last_sent, now
        return now - last < _QUICK_SECONDS

    def begin(self, loop: asyncio.AbstractEventLoop, end: Gathering) -> bool:
        """Have `end` pass on what it gathers when the turn of `loop` ends. Under the lock.

        On that loop's thread. Returns whether it is the first in this turn.
        """
        ends = self._turns.get(loop)
        if ends is None:
            for other in [other for other in self._turns if other.is_closed()]:
                del self._turns[other]
            self._turns[loop] = [end]
            loop.call_soon(self._end, loop)
            if not self._watches:
                self._watches = True
                self._site.soon(self._look)
            return True
        ends.append(end)
        return False

    def pass_on(self) -> None:
        """Pass on what all turns have gathered so far. Under the lock."""
        for ends in self._turns.values():
            for end in ends:
                end.pass_on()

    def _look(self) -> None:
        """End the turns of loops that stand still: they were stopped before they could do it."""
        dropped: list[tuple[str, int]] = []
        with self._site.lock:
            still = {loop: ends for loop, ends in self._turns.items() if not loop.is_running()}
            before, self._still = self._still, still
            for loop, ends in still.items():
                if before.get(loop) is ends:
                    dropped += self._finish(loop)
                for end in ends:
                    end.lock_out()
            self._watches = bool(self._turns)
            if self._watches:
                self._site.soon(self._look)
        self._after(dropped)

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._site.lock:
            dropped = self._finish(loop)
        self._after(dropped)

    def _finish(self, loop: asyncio.AbstractEventLoop) -> list[tuple[str, int]]:
        """Pass on what a turn has gathered; return what is dropped of it. Under the lock."""
        ended = [(end.name, end.end_turn()) for end in self._turns.pop(loop, ())]
        return [(name, count) for name, count in ended if count]

    def _after(self, dropped: list[tuple[str, int]]) -> None:
        self._pump()
        for name, count in dropped:
            log.logger.warning(
                f"channel {name}: {count} messages sent during its closing are dropped"
            )
