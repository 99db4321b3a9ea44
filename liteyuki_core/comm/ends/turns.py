"""The turns of event loops: messages that one turn sends are gathered and leave together after it.

One callback of the loop passes on what all ends have gathered in its turn. So a turn costs one
frame for each channel, and one system call for all of them.

One `Turns` a process, made by its context. Any thread calls it, under the site's lock where the
method says so. In the main process it owns the `Bursts`, which do the same for threads.

Invariants, under the lock:

- an end is in the turn of at most one loop, from `begin` until that turn ends
- each turn that has begun ends, by a callback of its loop, or by the attendant if the loop was
  stopped before it could call it
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from ... import log
from ...language import say
from ..loop.site import Site
from .bursts import Bursts

_QUICK_SECONDS = 0.0001


class Gathering(Protocol):
    """An end that gathers messages in a turn. All methods are called under the lock."""

    @property
    def name(self) -> str:
        """The channel's name, for the log."""

    def pass_on(self) -> None:
        """Pass on the messages that were gathered so far."""

    def end_turn(self) -> int:
        """Pass on all gathered messages, and gather no more. Return how many are dropped."""

    def lock_out(self) -> None:
        """Make the loop of this turn take the lock before it accepts messages, if it runs on."""


class Turns:
    """The turns in which ends of this process gather messages."""

    def __init__(self, site: Site, pump: Callable[[], None]) -> None:
        self._site = site
        self._pump = pump
        self._turns: dict[asyncio.AbstractEventLoop, list[Gathering]] = {}
        self._answers: dict[asyncio.AbstractEventLoop, list[Gathering]] = {}
        """Those that gather answers in a turn: these leave after all messages of the turn."""
        self._still: dict[asyncio.AbstractEventLoop, list[Gathering]] = {}
        """Turns whose loop did not run at the last look."""
        self._watches = False
        """Whether the attendant is about to look at the turns."""
        self._last_sent = 0.0
        self.bursts = Bursts(site, pump) if site.process is None else None
        """What threads of the main process gather."""

    def sends_quickly(self) -> bool:
        """Return whether messages come in quick succession. Then it pays to gather them.

        Under the lock.
        """
        now = monotonic()
        last, self._last_sent = self._last_sent, now
        return now - last < _QUICK_SECONDS

    def begin(self, loop: asyncio.AbstractEventLoop, end: Gathering) -> bool:
        """Have `end` pass on its messages when the turn of `loop` ends. Under the lock.

        On that loop's thread. Returns whether `end` is the first end in this turn.
        """
        ends = self._turns.get(loop)
        if ends is None:
            self._begin_turn(loop).append(end)
            return True
        ends.append(end)
        return False

    def _begin_turn(self, loop: asyncio.AbstractEventLoop) -> list[Gathering]:
        for other in [other for other in self._turns if other.is_closed()]:
            del self._turns[other]
            self._answers.pop(other, None)
        ends = self._turns[loop] = []
        loop.call_soon(self._end, loop)
        if not self._watches:
            self._watches = True
            self._site.later(self._look)
        return ends

    def begin_answers(self, loop: asyncio.AbstractEventLoop, answering: Gathering) -> bool:
        """Do the same for answers, which leave after the messages. Under the lock.

        Returns whether these are the first answers in this turn.
        """
        others = self._answers.setdefault(loop, [])
        others.append(answering)
        if loop not in self._turns:
            self._begin_turn(loop)
        return len(others) == 1

    def pass_on(self) -> None:
        """Pass on the messages that all turns and threads have gathered so far. Under the lock."""
        for ends in self._turns.values():
            for end in ends:
                end.pass_on()
        if self.bursts is not None:
            self.bursts.pass_on()

    def waits(self) -> None:
        """Note that a thread or task is about to wait for a message, maybe for an answer.

        Under the lock; the caller pumps the port.
        """
        if self.bursts is not None:
            self.bursts.pass_on()

    def close(self) -> None:
        """End the thread of the bursts. Not under the lock. Idempotent."""
        if self.bursts is not None:
            self.bursts.close()

    def _look(self) -> None:
        """End the turns of loops that were stopped before they could end them."""
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
                self._site.later(self._look)
        self._after(dropped)

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._site.lock:
            dropped = self._finish(loop)
        self._after(dropped)

    def _finish(self, loop: asyncio.AbstractEventLoop) -> list[tuple[str, int]]:
        """Pass on what a turn has gathered. Under the lock.

        Returns the name of each channel of which messages are dropped, and how many.
        """
        dropped = []
        for end in self._turns.pop(loop, ()):
            count = end.end_turn()
            if count:
                dropped.append((end.name, count))
        for answering in self._answers.pop(loop, ()):
            answering.end_turn()
        return dropped

    def _after(self, dropped: list[tuple[str, int]]) -> None:
        self._pump()
        for name, count in dropped:
            log.logger.warning(
                say(
                    "channel {name}: {count} messages that were sent while it closed are dropped",
                    name=name,
                    count=count,
                )
            )
