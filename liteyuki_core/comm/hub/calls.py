"""The requests to a queue that a pool of worker processes answers: the calls of their functions.

A worker begins calls in the order in which it was given them, no more at a time than it says, and
an answer leaves it before it begins another call. So after a crash the first of those that it was
given and has not answered are the ones it ran, and nothing has to say when one begins. Only a
worker that leaves in good order says which it has begun: calls may have crossed that on their way.

A worker is given as many calls as it runs at a time. One that answers quickly is given some more in
advance, because it takes longer to pass on a call than to make a short one. As soon as it is not
quick any more, these are called back, for whoever is free first. A call whose asker may want its
worker ended is never given in advance, nor is anything given in advance beside it.

Nothing here knows links or names, waits, runs user code or looks into a message. The caller of
every method holds the hub's lock.

Invariants, besides those of `Requests`.
- A request in `_broken_off` is in no entry, and its asker waits for the pool's answer.
- A holder that the pool was told to end is given nothing more.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Protocol

from ..wire.batch import Batch
from ..wire.headers import Headers
from ..wire.words import FAR
from .requests import Asker, Requests, asker_of, numbers_of
from .side import Entry, Holder, Recipient

_QUICK = 0.002
"""A worker is quick if its answers follow each other within so many seconds."""

_MOST_AHEAD = 15
"""At most so many calls are given to a worker in advance."""

LATE = 0.02
"""A worker that has answered nothing for so many seconds gives back what it was given in
advance."""


class Pool(Protocol):
    """Whoever runs the workers. Called under the lock, never waits."""

    def broken_off(self, peer: Recipient, asker: Asker, request: int) -> None:
        """Learn that `peer` has ended while it ran a call. `Calls.answer_instead` answers it."""

    def unwanted(self, peer: Recipient) -> None:
        """Learn that `peer` is to be ended, because of the call that it runs."""


class _Pace:
    """How quickly a worker answers."""

    __slots__ = ("ahead", "alone", "since")

    def __init__(self) -> None:
        self.ahead = 0
        """How many calls it may be given in advance."""
        self.since = 0.0
        """When it has last answered, or was given a call while it had none."""
        self.alone = False
        """Whether it has a call beside which nothing is given in advance."""


class Calls(Requests):
    """The requests to the queue of a pool.

    `on_ahead` is called when calls were given in advance: `call_back` must be called soon.
    """

    says_begun = False
    is_pooled = True

    def __init__(self, pool: Pool, on_ahead: Callable[[Calls], None]) -> None:
        super().__init__(None, is_queue=True)
        self.always_shared = True
        self._pool = pool
        self._on_ahead = on_ahead
        self._paces: dict[Recipient, _Pace] = {}
        self._broken_off: dict[int, Entry] = {}
        """By this side's number: calls that a worker has not ended, and the pool answers."""

    # ------------------------------------------------------------- from askers and the pool

    def cancel(self, asker: Asker, request: int, kill: bool = False) -> None:
        """Learn that nobody waits for the answer to a call any more.

        With `kill`, the worker that runs the call is to be ended.
        """
        at = self._asked.get(asker, {}).get(request)
        if at is None:
            return
        broken_off = self._broken_off.pop(at, None)
        if broken_off is not None:
            self._pop(asker, request)
            self._drop(broken_off)
            return
        runs_it = None
        if kill and at not in self._answers:
            holders = self.holders.values()
            runs_it = next((h for h in holders if self._entry_of(h, at) is not None), None)
        if runs_it is None:
            super().cancel(asker, request)
            return
        self._pop(asker, request)
        runs_it.ready = False
        self._pool.unwanted(runs_it.peer)

    def answer_instead(self, asker: Asker, request: int, answer: Batch) -> None:
        """Answer a call that was broken off, with a text that says why, see `ends/remote.py`.

        Does nothing if nobody waits for it any more.
        """
        at = self._pop(asker, request)
        if at is not None:
            self._broken_off.pop(at, None)
            peer, number = asker
            peer.answered(number, answer.with_headers(Headers(None, (request,), failed=True)))

    # ------------------------------------------------------------- giving

    def push(self) -> None:
        """Give waiting calls to the workers that have room, to the least busy first."""
        waiting = self.waiting
        ahead = False
        while waiting:
            headers = waiting[0].batch.headers
            alone = headers is not None and headers.kill
            found, room = None, 0
            for holder in self.holders.values():
                if not holder.ready or (found and holder.outstanding >= found.outstanding):
                    continue
                free = self._room(holder, alone)
                if free > 0:
                    found, room = holder, free
            if found is None:
                break
            if not found.outstanding:
                self._paces[found.peer].since = monotonic()
            free = found.window - found.outstanding
            ahead = ahead or free <= 0
            self._paces[found.peer].alone |= alone
            self._give(self.take_off(free if free > 0 else room), found)
        if ahead:
            self._on_ahead(self)

    def _room(self, holder: Holder, alone: bool) -> int:
        """Return how many calls a worker may be given now; `alone`: if nothing is in advance."""
        pace = self._paces.get(holder.peer)
        if pace is None:
            pace = self._paces[holder.peer] = _Pace()
        if not holder.outstanding:
            pace.alone = False
        ahead = 0 if alone or pace.alone else pace.ahead
        return holder.window + ahead - holder.outstanding

    def call_back(self) -> float:
        """Call back what was given in advance to workers that are slow now.

        Returns when to do so again, infinite if nothing is in advance.
        """
        now, again = monotonic(), inf
        for holder in self.holders.values():
            if holder.outstanding <= holder.window or holder.owes:
                continue
            pace = self._paces[holder.peer]
            if pace.since + LATE <= now:
                pace.ahead = 0
                self._renew(holder)
            else:
                again = min(again, pace.since + LATE)
        return again

    # ------------------------------------------------------------- from workers

    def answer(self, holder: Holder, batch: Batch) -> bool:
        """Pass on answers and settle their calls; return whether the worker has these."""
        pace = self._paces.get(holder.peer)
        if pace is not None:
            now = monotonic()
            quick = now - pace.since < _QUICK
            pace.ahead = min(_MOST_AHEAD, pace.ahead + 1) if quick else 0
            pace.since = now
        return super().answer(holder, batch)

    def receives(self, holder: Holder, window: int, asks: bool) -> None:
        """Learn that a worker runs `window` calls at a time; 0: it begins no other call.

        Another node of a cluster is given none, whatever it says.
        """
        if (holder.peer.process or "").startswith(FAR):
            return
        if not window:
            holder.ready = False
            return
        super().receives(holder, window, asks)

    def drop_holder(self, peer: Recipient, crash: bool, limit: int) -> list[Entry]:
        """Take back what a worker had and has not begun. The pool answers the rest."""
        self._paces.pop(peer, None)
        holder = self.holders.get(peer)
        if crash and holder is not None:
            running = holder.window
            for entry in self.sent.values():  # In the order in which they were given.
                if entry.holder is holder:
                    for at in numbers_of(entry):
                        if running > 0:
                            running -= 1
                            entry.begun = entry.begun | {at}
        return super().drop_holder(peer, crash, limit)

    def _crashed(self, entry: Entry, number: int, crash: bool) -> tuple[str, ...] | None:
        asker, request = asker_of(entry, number)
        if asker is None or request not in self._asked.get(asker, ()):
            return super()._crashed(entry, number, crash)
        if number not in entry.begun:
            return ()
        assert entry.holder is not None
        entry.unlink()
        self._broken_off[number] = entry
        self._pool.broken_off(entry.holder.peer, asker, request)
        return None
