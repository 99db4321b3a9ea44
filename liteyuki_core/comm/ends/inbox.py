"""What has come for one end and was not taken yet: the batches, and how a runner takes them.

`Receiving` has one for messages, `Answering` one for requests. Any thread calls it; a method that
is called under the site's lock says so.
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from ...errors import ChannelError
from ...language import Phrase
from ..loop.callbacks import Registration
from ..loop.site import Site
from ..wire import frames
from ..wire.batch import Batch
from .port import Port
from .state import State


class Inbox:
    """The batches that have come for one end, and the runner that takes them, if there is one."""

    loads: Callable[[bytes], Any] = staticmethod(pickle.loads)
    of_requests = False
    """Whether these are requests. The hub numbers them for themselves."""

    def __init__(self, state: State, site: Site, port: Port) -> None:
        self._state = state
        self._number = state.number
        self.capacity = state.capacity
        self._site = site
        self.lock = site.lock
        self._port = port
        self._inbox: deque[Batch] = deque()
        self._runner: Any = None
        self.idle = True
        """Whether there is nothing to take. Then the runner is made ready when a message comes."""
        self._period = 0
        """See `hub/side.py`; 0 while no other process receives on this side."""
        # counting
        self._arrived = 0
        """How many messages came, without those that were given back or dropped unread."""
        self.bytes = 0
        self._ahead: Any = None
        """Returns how many messages the runner has taken and not yet given to a callback."""
        self.redelivered = 0
        self.dropped = 0
        self.errors = 0

    @property
    def name(self) -> str:
        """The channel's name."""
        return self._state.name

    @property
    def title(self) -> Phrase:
        """What the log calls it."""
        return Phrase("channel {name}", name=self.name)

    # ------------------------------------------------------------- for a runner

    def take(self) -> tuple[int, deque[Any], bool] | None:
        """Return the next batch for a runner: its first number, its messages, whether PROMPT."""
        with self.lock:
            if not self._inbox or not self.has_messages():
                self.idle = True
                return None
            batch = self._inbox.popleft()
            # After more than one message the runner looks again by itself.
            self.idle = batch.count == 1 and not self._inbox
        return batch.first, deque(self._messages_of(batch)), bool(batch.flags & frames.PROMPT)

    def _messages_of(self, batch: Batch) -> list[Any]:
        return batch.payloads()

    def begin(self, number: int) -> None:
        """Say that the handling of a message begins, for a runner."""
        with self.lock:
            if not self._state.closed:
                self._port.begin(self._number, number, self.of_requests)
        self._port.flush()

    def has_messages(self) -> bool:
        """Return whether `take` would give some."""
        return bool(self._inbox) and not self._state.closed

    def ended(self) -> tuple[int, ChannelError] | None:
        """Return the error that says that no message will come any more, or None."""
        return None

    def return_unbegun(self, first: int, count: int) -> None:
        """Give back messages that a runner has taken and has given to no callback.

        With that all is given back that was called back. There may be none.
        """
        with self.lock:
            if not self._state.closed:
                self._arrived -= count
                self._pass_back([(first, count)] if count else [])
        self._port.pump()

    def failed(self) -> None:
        """Count a callback, a filter or a message that failed."""
        with self.lock:
            self.errors += 1

    def register(self, registration: Registration, *, undecided: bool = False) -> None:
        """Add a callback; if it is `undecided`, when `decide` is called, which is soon."""
        raise NotImplementedError

    def _add(self, registration: Registration, undecided: bool) -> None:
        """Give the runner a callback, or one that is undecided until `decide` is called.

        Under the lock; the caller pumps the port.
        """
        if undecided:
            self._runner.hold(registration, partial(self.decide, registration))
        else:
            self._runner.add(registration)
        self.idle = False
        self._site.dispatcher.ready(self._runner)

    def decide(self, undecided: Registration, wanted: Registration | None = None) -> bool:
        """Add an undecided callback, or `wanted` in its place. Return False if it is too late."""
        with self.lock:
            runner = self._runner
            if runner is None or not runner.release(undecided):
                return False
            if wanted is not None:
                wanted.place = undecided.place
            self._add(wanted or undecided, False)
        return True

    # ------------------------------------------------------------- from the end, under the lock

    @property
    def has_callbacks(self) -> bool:
        """Whether a runner takes the messages."""
        return self._runner is not None

    def detach(self) -> None:
        """Detach the runner, because the end was closed."""
        if self._runner is not None:
            self._site.dispatcher.detach(self._runner)
            self._runner = None

    def counted(self) -> tuple[int, int]:
        """Return how many messages were given to a receiver or callback, and how many were not."""
        backlog = self._unread() + (0 if self._ahead is None else self._ahead())
        return max(0, self._arrived - backlog), backlog

    def _unread(self) -> int:
        return sum([batch.count for batch in self._inbox])

    def _take_off(self, count: int) -> list[tuple[int, int]]:
        """Remove the last `count` messages, or all if there are fewer. Return their numbers."""
        ranges = []
        while count and self._inbox:
            batch = self._inbox.pop()
            kept = max(0, batch.count - count)
            ranges.append((batch.first + kept, batch.count - kept))
            count -= batch.count - kept
            if kept:
                self._inbox.append(batch.part(0, kept))
        return ranges

    def _pass_back(self, ranges: list[tuple[int, int]], *, more: bool = False) -> None:
        """Give back messages. If there are `more`, which come later, the hub waits for those."""
        period = 0 if more else self._period
        self._port.give_back(self._number, period, ranges, self.of_requests)
