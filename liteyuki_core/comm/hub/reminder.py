"""Looks again, later, at sides of channels where messages wait.

There are four cases. Messages of a shared side are held back, because a holder still has to give
back older ones, see `side.py`: when the time for that is over, they are passed on. Or messages wait
where no holder has ever received. That is often a mistake of the user, so the log says so, once. Or
requests wait where nobody answers: they are refused as soon as that is certain. Or workers were
given calls in advance: those that are slow are to give them back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from math import inf
from time import monotonic
from typing import Any

from ...errors import RemoteError
from ...language import Phrase, listed
from ..store.expiry import Expiry
from ..wire.words import FAR
from .calls import LATE, Calls
from .notes import Notes
from .route import ChildPeer, Route
from .side import MAIN, Side

_UNANSWERED_SECONDS = 1.0
"""Seconds between two looks at requests that wait where nobody has said yet that it answers."""

_UNREAD_SECONDS = 5.0
"""Seconds that messages wait, where no holder has ever received, before the log says so."""


class Reminder:
    """Owns the thread that looks, in an `Expiry`; `close` ends it.

    All methods but `close` are called under the hub's `lock`. `pump` is called on that thread, not
    under the lock, after a line may have been noted.
    """

    def __init__(
        self, lock: AbstractContextManager[Any], notes: Notes, pump: Callable[[], None]
    ) -> None:
        self._lock = lock
        self._notes = notes
        self._pump = pump
        self._held: list[Side] = []
        self._unread: dict[Side, tuple[float, Route, int]] = {}
        """Sides with messages where no holder has ever received, and since when they wait."""
        self._unanswered: dict[Side, tuple[Route, int, Iterable[ChildPeer]]] = {}
        """Requests that wait where nobody has said that it answers."""
        self._calls: set[Calls] = set()
        """Calls of which workers were given some in advance."""
        self._expiry = Expiry(self._look_again)

    def look_at_unanswered(self, route: Route, i: int, peers: Iterable[ChildPeer]) -> None:
        """Refuse the requests that wait for side `i` if nobody answers there; else look again.

        `peers` are, at any time, the children whose process runs.
        """
        requests = route.requests(i)
        serving = {peer.process: peer.serves_since for peer in peers}
        at = requests.refusable_at(serving)
        now = monotonic()
        if at <= now:
            process = requests.process or ", ".join(
                [holder.peer.process or MAIN for holder in requests.holders.values()]
            )
            who = "the main process" if process == MAIN else f"process {process}"
            if process.startswith(FAR):
                who = f"node {process.removeprefix(FAR)}"
            why = f"nobody answers requests here: {who} has no on_request callback on it"
            requests.refuse_all(RemoteError, why)
        elif requests.waiting and not any(h.ready for h in requests.holders.values()):
            self._unanswered[requests] = route, i, peers
            self._expiry.at(min(at, now + _UNANSWERED_SECONDS))

    def look_at_calls(self, calls: Calls) -> None:
        """Have calls that were given in advance called back when that is due."""
        if calls not in self._calls:
            self._calls.add(calls)
            self._expiry.at(monotonic() + LATE)

    def look_at_held(self, side: Side) -> None:
        """If messages are held back now, pass them on when their time is over."""
        if side.waiting and side.is_held and side not in self._held:
            self._held.append(side)
            self._expiry.at(side.held_until)

    def is_unread(self, route: Route, i: int) -> None:
        """Learn that the first message has come for side `i`, where no holder ever received."""
        self._unread[route.sides[i]] = monotonic(), route, i
        self._expiry.at(monotonic() + _UNREAD_SECONDS)

    def forget_unread(self, side: Side) -> None:
        """Learn that a holder of this side receives, or that its channel is forgotten."""
        self._unread.pop(side, None)

    def note_unread(self, route: Route, i: int) -> None:
        """Note a line if messages wait for side `i` and no holder has ever received there."""
        side = route.sides[i]
        if side.read or side.is_empty or side.ended is not None:
            return
        if side.process is not None and side.process.startswith(FAR):
            return  # That node knows whether anybody receives there.
        entries = (*side.waiting, *side.sent.values())
        senders = {e.source.process for e in entries if e.source is not None}
        shown: list[object] = [Phrase("the main process")] if None in senders else []
        shown += sorted(sender for sender in senders if sender is not None)
        where = {
            None: Phrase("wherever it is got"),
            MAIN: Phrase("in the main process"),
        }.get(side.process, Phrase("in process {name}", name=side.process))
        self._notes.add(
            "WARNING",
            Phrase(
                "{channel}: {count} messages wait {where}, where nobody receives; they were sent "
                "by {senders}. What others send on a channel goes to whoever made it: receive "
                "there, or send on a channel that is read",
                channel=route.title,
                count=side.under_way,
                where=where,
                senders=listed(shown),
            ),
        )

    def close(self) -> None:
        """End the thread. Not under the lock; idempotent."""
        self._expiry.close()

    def _look_again(self) -> float | None:
        """Look at the sides that are due; return when to look again. On the expiry thread."""
        with self._lock:
            held, self._held = self._held, []
            for side in held:
                side.push()
                self.look_at_held(side)
            unanswered, self._unanswered = self._unanswered, {}
            for route, i, peers in unanswered.values():
                if not route.forgotten:
                    self.look_at_unanswered(route, i, peers)
            looked_at, self._calls = self._calls, set()
            for calls in looked_at:
                at = calls.call_back()
                if at < inf:
                    self._calls.add(calls)
                    self._expiry.at(at)
        return self._look_at_unread()

    def _look_at_unread(self) -> float | None:
        """Note where messages have waited too long; return when to look again."""
        with self._lock:
            now = monotonic()
            unread, self._unread = self._unread, {}
            for side, (since, route, i) in unread.items():
                begun = [holder.peer.serves_since for holder in side.holders.values()]
                if side.read or side.is_empty or route.forgotten:
                    continue
                # A child whose process does not run yet, or is starting, is not late.
                waits = side.process not in (None, MAIN) and not begun
                if waits or max([since, *begun]) > now - _UNREAD_SECONDS:
                    self._unread[side] = since, route, i
                else:
                    self.note_unread(route, i)
            again = bool(self._unread)
        self._pump()
        return now + _UNREAD_SECONDS if again else None
