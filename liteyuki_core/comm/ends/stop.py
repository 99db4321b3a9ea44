"""How a process stops using its channels: in two steps.

First nothing is begun any more. Runners take no message, and a receiver that asks for its next
message gets `ChannelClosed`. Messages in hand are waited for. Then every `receive` raises
`ChannelClosed`, and the handling of messages still in hand is broken off. These stay
unacknowledged.

One `Stop` a process, made by its context. The code that ends the process calls it, from any thread.

Invariants, under the site's lock: `why` is set once; each end that is made later learns it;
receiving ends only after `why` is set.
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
"""Seconds that a stop waits for a receiver that has a message in hand and waits for another on a
channel with a name. The other may be an answer that it needs, or the first may be handled already.
"""

SETTLE_SECONDS = 0.005
"""Seconds between two looks of a stop at whether messages are still in hand."""


class Stoppable(Protocol):
    """The receiving half of an end, as a stop sees it. All methods are called under the lock."""

    handed: Handed
    received_by_target: bool
    """Whether the target of this process itself receives there."""

    def begin_stop(self, why: str) -> None:
        """Make a receiver that asks for its next message get `ChannelClosed`."""

    def stop_receiving(self, why: str) -> None:
        """Make every `receive` raise `ChannelClosed` from now on."""

    def forget_target(self) -> None:
        """Note that the target does not receive any more."""


class Stop:
    """Whether this process stops, and which receivers the stop waits for."""

    def __init__(
        self,
        site: Site,
        ends: Callable[[], Iterable[Stoppable]],
        stop_listening: Callable[[], None],
    ) -> None:
        """`stop_listening` ends every wait of this process for events of the store."""
        self._site = site
        self._ends = ends
        self._stop_listening = stop_listening
        self.why: str | None = None
        """Why nothing more is begun, or None."""
        self.over: str | None = None
        """Why every `receive` raises, or None."""
        self.at: float | None = None
        """The time (`time.monotonic`) by which messages in hand must be handled, if it is known."""
        self.crashed = False
        """Whether this process is about to end as a crash."""
        self.target: set[Receiver] = set()
        """The thread and the task of this process's target."""
        self._run_loop: set[Receiver] = set()
        """Receivers that run a framework's loop since. What they have in hand waits for nothing."""
        self._waiting: dict[Receiver, float] = {}
        """Receivers that have a message in hand and wait for another on a channel with a name, and
        since when they wait."""

    def begin(self, why: str) -> None:
        """Begin nothing more: a receiver that asks for its next message gets `ChannelClosed`.

        The handling of messages in hand goes on, with all that it waits for. Idempotent.
        """
        with self._site.lock:
            if self.why is not None:
                return
            self.why = why
            for end in self._ends():
                end.begin_stop(why)

    def settle(self, timeout: float) -> bool:
        """Wait until no message is in hand, at most `timeout` seconds. Then end receiving.

        Returns whether all were handled. After `begin`. Not on a thread that runs an event loop.
        """
        deadline = monotonic() + timeout
        finished = self._site.dispatcher.finish(timeout)
        while not self._end_receiving(force=monotonic() >= deadline):
            sleep(SETTLE_SECONDS)
        return finished and monotonic() < deadline

    async def async_settle(self, timeout: float) -> None:
        """Do the same on the loop that callbacks run on. Returns nothing."""
        deadline = monotonic() + timeout
        await self._site.dispatcher.async_finish(timeout)
        while not self._end_receiving(force=monotonic() >= deadline):
            await asyncio.sleep(SETTLE_SECONDS)

    def _end_receiving(self, *, force: bool) -> bool:
        """End receiving if no message is in hand, or by force. Return whether it has ended."""
        with self._site.lock:
            # Under one lock, so that no receiver takes a message between the two steps.
            if not force and self.is_handling():
                return False
            self.end_receiving(str(self.why))
        return True

    def end_receiving(self, why: str) -> None:
        """Begin the stop, and make every `receive` of this process raise, also those that wait."""
        self.begin(why)
        with self._site.lock:
            self.over = self.over or why
            for end in list(self._ends()):
                end.stop_receiving(why)
            self._stop_listening()

    def is_handling(self) -> bool:
        """Return whether a thread or task has a message in hand that it has received."""
        with self._site.lock:
            late = monotonic() - _REPLY_PATIENCE
            idle = {who for who, since in self._waiting.items() if since < late}
            idle |= self._run_loop
            return any(end.handed.is_handling(idle) for end in self._ends())

    def received_by_target(self) -> bool:
        """Return whether the target itself receives. Then the end of receiving ends the target."""
        with self._site.lock:
            return any(end.received_by_target for end in self._ends())

    def target_runs_loop(self) -> None:
        """Note that the target now runs a framework's loop, and does not receive any more.

        A stop does not wait for the message that it got last: the code that asked for it has ended.
        """
        with self._site.lock:
            self._run_loop |= self.target
            self.target.clear()
            for end in self._ends():
                end.forget_target()

    # ------------------------------------------------------------- what ends say, under the lock

    def holds(self, who: Receiver) -> bool:
        """Return whether the receiver `who` has a message in hand."""
        return any(end.handed.holds(who) for end in self._ends())

    def waits(self, who: Receiver) -> None:
        """Note that a receiver with a message in hand waits on a channel with a name."""
        self._waiting.setdefault(who, monotonic())

    def got(self, who: Receiver) -> None:
        """Note that a receiver is given a message."""
        self._waiting.pop(who, None)
