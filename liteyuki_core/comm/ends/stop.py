"""The stop of a process, as far as its channels go: in two steps.

First nothing is begun any more: runners take no message, and who asks for the next one gets
`ChannelClosed`, while messages in hand are waited for. Then every `receive` raises that, and what
is left is broken off, unacknowledged.

One `Stop` a process, made by its context; whoever ends the process calls it, from any thread.
Invariants, under the site's lock: `why` is set once, and every end that is made later knows it;
receiving ends only after that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from time import monotonic, sleep
from typing import Protocol

from ..loop.receiver import Receiver
from ..loop.site import Site
from .handed import Handed

_REPLY_PATIENCE = 1.0
"""Seconds that a stop waits for one that has a message in hand and waits for another on a channel
with a name. It may wait for an answer there, or have been done with the first one long ago."""

SETTLE_SECONDS = 0.005
"""How often a stop looks whether messages are still in hand."""


class Stoppable(Protocol):
    """What receives, as a stop sees it. All is called under the lock."""

    handed: Handed
    received_by_target: bool
    """Whether the target of this process itself receives there."""

    def begin_stop(self, why: str) -> None:
        """Have whoever serves this channel get `ChannelClosed` in place of the next message."""

    def stop_receiving(self, why: str) -> None:
        """Have every `receive` raise `ChannelClosed` from now on."""

    def forget_target(self) -> None:
        """Learn that the target does not receive any more."""


class Stop:
    """Whether and how this process stops, and who it waits for."""

    def __init__(
        self,
        site: Site,
        ends: Callable[[], Iterable[Stoppable]],
        stop_listening: Callable[[], None],
    ) -> None:
        """`stop_listening` ends every wait of this process for what happens in the store."""
        self._site = site
        self._ends = ends
        self._stop_listening = stop_listening
        self.why: str | None = None
        """Why nothing more is begun."""
        self.at: float | None = None
        """By when, of `time.monotonic`, what is in hand is to be handled, where that was said."""
        self.crashed = False
        """Whether this process is about to end as one that has crashed."""
        self.target: set[Receiver] = set()
        """The thread and the task of this process's target."""
        self._waiting: dict[Receiver, float] = {}
        """Who waits on a channel with a name with a message of another in hand, and since when."""

    def begin(self, why: str) -> None:
        """Begin nothing more: whoever serves a channel gets `ChannelClosed` for the next message.

        What is in hand goes on, and what is waited for to handle it. Idempotent.
        """
        with self._site.lock:
            if self.why is not None:
                return
            self.why = why
            for end in self._ends():
                end.begin_stop(why)

    def settle(self, timeout: float) -> bool:
        """Wait until no message is in hand, at most `timeout` seconds; then receiving ends.

        Returns whether none was left. After `begin`; not on a thread that runs an event loop.
        """
        deadline = monotonic() + timeout
        finished = self._site.dispatcher.finish(timeout)
        while not self._end_receiving(force=monotonic() >= deadline):
            sleep(SETTLE_SECONDS)
        return finished and monotonic() < deadline

    async def async_settle(self, timeout: float) -> None:
        """Do the same on the loop that callbacks run on."""
        deadline = monotonic() + timeout
        await self._site.dispatcher.async_finish(timeout)
        while not self._end_receiving(force=monotonic() >= deadline):
            await asyncio.sleep(SETTLE_SECONDS)

    def _end_receiving(self, *, force: bool) -> bool:
        """End receiving if nothing is in hand, or by force; return whether it has ended."""
        with self._site.lock:
            # In one go: what somebody takes a moment later is in hand.
            if not force and self.is_handling():
                return False
            self.end_receiving(str(self.why))
        return True

    def end_receiving(self, why: str) -> None:
        """Wake everyone who waits in a `receive` of this process, and let none wait again."""
        self.begin(why)
        with self._site.lock:
            for end in list(self._ends()):
                end.stop_receiving(why)
            self._stop_listening()

    def is_handling(self) -> bool:
        """Return whether a thread or task has a message in hand that it has received."""
        with self._site.lock:
            late = monotonic() - _REPLY_PATIENCE
            idle = {who for who, since in self._waiting.items() if since < late}
            return any(end.handed.is_handling(idle) for end in self._ends())

    def received_by_target(self) -> bool:
        """Return whether the target of this process itself receives, so that it ends by that."""
        with self._site.lock:
            return any(end.received_by_target for end in self._ends())

    def target_runs_loop(self) -> None:
        """Learn that the target runs somebody else's loop, and receives no more from now on."""
        with self._site.lock:
            self.target.clear()
            for end in self._ends():
                end.forget_target()

    # ------------------------------------------------------------- what ends say, under the lock

    def holds(self, who: Receiver) -> bool:
        """Return whether one that receives has a message in hand."""
        return any(end.handed.holds(who) for end in self._ends())

    def waits(self, who: Receiver) -> None:
        """Learn that one with a message in hand waits for another, on a channel with a name."""
        self._waiting.setdefault(who, monotonic())

    def got(self, who: Receiver) -> None:
        """Learn that one is given a message."""
        self._waiting.pop(who, None)
