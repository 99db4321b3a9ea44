"""This node's sides of a channel that another node has: they tell when that node is to know more.

Who has the channel here, who receives and answers, and, of a queue, how much is asked for.

Threads. All is called under the hub's lock.
"""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import Any

from ..comm.hub.requests import GRACE, Requests
from ..comm.hub.side import Carried, Holder, Recipient, Side
from ..comm.wire.batch import Batch
from ..comm.wire.words import Ranges


class Listened(Side):
    """The side of this node's processes of a channel that another node has.

    `notify` is called under the lock when that node should know more: whether anybody here has the
    channel, and whether anybody receives.
    """

    def __init__(self, notify: Any) -> None:
        super().__init__(None)
        self._notify = notify
        self._said = (False, False)

    @property
    def is_held_by_any(self) -> bool:
        """Whether processes here have the channel."""
        return bool(self.holders)

    def push(self) -> None:
        self._look()
        super().push()

    def _update_sharing(self) -> None:
        super()._update_sharing()
        self._look()

    def _look(self) -> None:
        now = self.is_held_by_any, any(each.ready for each in self.holders.values())
        if now != self._said:
            self._said = now
            self._notify(*now)


class Wanted(Listened):
    """The same of a queue that another node has, which gives what is asked for and no more.

    `wants` is called under the lock when the processes here ask for more than was said, or for
    less, or may have given something back.
    """

    def __init__(self, notify: Any, wants: Any) -> None:
        super().__init__(notify)
        self._wants = wants
        self._told = 0
        self._looked = False
        """Whether somebody has looked for a message in vain. The next one to come is for them."""

    @property
    def wanted(self) -> int:
        """How many messages more are asked for. Below 0: so many have come that nobody wants."""
        count = int(self._looked) - sum(entry.remaining for entry in self.waiting)
        for holder in self.holders.values():
            if holder.ready:
                count += holder.room if holder.asks else max(0, holder.free)
        return count

    @property
    def is_held_by_any(self) -> bool:
        """Whether processes here have the queue, or will have it again."""
        return bool(self.holders or self.lost)

    def call_back(self) -> None:
        """Have the processes here give back what they do not want."""
        self._call_back()

    def discard(self, source: Recipient) -> None:
        """Drop the messages of a source that no process has."""
        self.waiting = deque(entry for entry in self.waiting if entry.source is not source)

    def add(
        self,
        batch: Batch,
        source: Recipient | None,
        number: int,
        links: tuple[Carried, ...] = (),
    ) -> None:
        self._looked = False
        super().add(batch, source, number, links)

    def ask_for(self, holder: Holder, period: int, count: int) -> None:
        if not count and period == holder.period and not self.waiting:
            self._looked = True
        super().ask_for(holder, period, count)
        self._look()

    def take_back(self, holder: Holder, period: int, ranges: Ranges) -> bool:
        whole = super().take_back(holder, period, ranges)
        self._wants()
        return whole

    def settle(self, holder: Holder, ranges: Ranges) -> bool:
        whole = super().settle(holder, ranges)
        self._look()
        return whole

    def _look(self) -> None:
        super()._look()
        now = self.count + self.wanted
        if now != self._told:
            self._told = now
            self._wants()


class Heard(Requests):
    """The requests to that side. `notify` is called under the lock with how many at a time the
    processes here answer, when that changes.
    """

    def __init__(self, notify: Any) -> None:
        super().__init__(None)
        self._notify = notify
        self._said = 0

    def receives(self, holder: Holder, window: int, asks: bool) -> None:
        super().receives(holder, window, asks)
        self._look()

    def _update_sharing(self) -> None:
        super()._update_sharing()
        self._look()

    def _look(self) -> None:
        now = sum(holder.window for holder in self.holders.values() if holder.ready)
        if now != self._said:
            self._said = now
            self._notify(now)

    def nobody_answers(self) -> bool:
        """Return whether all who have the channel have had time to say that they answer."""
        holders = list(self.holders.values())
        since = [max(holder.peer.serves_since, holder.opened_at) for holder in holders]
        return not self._said and bool(since) and max(since) + GRACE <= monotonic()
