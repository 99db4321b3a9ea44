"""Looks again at sides where messages wait: held back for a holder, or where nobody receives.

Messages are held back where several receive and one of them has yet to give back what is older,
see `side.py`. That nobody has ever received where messages wait is often a mistake, so the log says
so, once.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from time import monotonic
from typing import Any

from ..store.expiry import Expiry
from .notes import Notes
from .route import Route
from .side import MAIN, Side

_UNREAD_SECONDS = 5.0
"""How long messages wait where nobody has ever received before a line says so."""


class Reminder:
    """Owns the thread that wakes when it is time to look. All but `close` under the hub's `lock`.

    `pump` is called on that thread, not under the lock, after something may have been noted.
    """

    def __init__(
        self, lock: AbstractContextManager[Any], notes: Notes, pump: Callable[[], None]
    ) -> None:
        self._lock = lock
        self._notes = notes
        self._pump = pump
        self._held: list[Side] = []
        self._unread: dict[Side, tuple[float, Route, int]] = {}
        """Sides that have messages and where nobody has ever received, and since when."""
        self._expiry = Expiry(self._look_again)

    def look_at_held(self, side: Side) -> None:
        """Have messages passed on when they are held back no more, if they are now."""
        if side.waiting and side.is_held and side not in self._held:
            self._held.append(side)
            self._expiry.at(side.held_until)

    def is_unread(self, route: Route, i: int) -> None:
        """Learn that the first message has come for side `i`, where nobody has ever received."""
        self._unread[route.sides[i]] = monotonic(), route, i
        self._expiry.at(monotonic() + _UNREAD_SECONDS)

    def forget_unread(self, side: Side) -> None:
        """Learn that somebody receives there, or that its channel is forgotten."""
        self._unread.pop(side, None)

    def note_unread(self, route: Route, i: int) -> None:
        """Note that messages wait for side `i` and nobody has ever received, if that is so."""
        side = route.sides[i]
        if side.read or side.is_empty or side.ended is not None:
            return
        entries = (*side.waiting, *side.sent.values())
        senders = {e.source.process or "the main process" for e in entries if e.source is not None}
        where = {None: "wherever it is got", MAIN: "in the main process"}.get(
            side.process, f"in process {side.process}"
        )
        self._notes.add(
            "WARNING",
            f"{route.title}: {side.under_way} messages wait {where}, where nobody receives; they "
            f"were sent by {', '.join(sorted(senders))}. What others send on a channel goes to "
            "whoever made it: receive there, or send on a channel that is read",
        )

    def close(self) -> None:
        """End the thread. Not under the lock; idempotent."""
        self._expiry.close()

    def _look_again(self) -> float | None:
        """See to what has waited for some time; return when to look again."""
        with self._lock:
            held, self._held = self._held, []
            for side in held:
                side.push()
                self.look_at_held(side)
        return self._look_at_unread()

    def _look_at_unread(self) -> float | None:
        """Say where messages wait and nobody has ever received; return when to look again."""
        with self._lock:
            now = monotonic()
            unread, self._unread = self._unread, {}
            for side, (since, route, i) in unread.items():
                begun = [holder.peer.serves_since for holder in side.holders.values()]
                if side.read or side.is_empty or route.forgotten:
                    continue
                # A process that has yet to start, or starts, is not late.
                waits = side.process not in (None, MAIN) and not begun
                if waits or max([since, *begun]) > now - _UNREAD_SECONDS:
                    self._unread[side] = since, route, i
                else:
                    self.note_unread(route, i)
            again = bool(self._unread)
        self._pump()
        return now + _UNREAD_SECONDS if again else None
