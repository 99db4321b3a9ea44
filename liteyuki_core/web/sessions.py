"""Who may use the page: tickets, which are for one use, and the sessions that they begin.

Ownership. A `Sessions` owns all tickets and sessions. They are in memory alone and end with the
bot. It is for one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_hex, token_urlsafe
from time import monotonic
from typing import Literal

Right = Literal["change", "read"]

TICKET_SECONDS = 60.0
LINK_SECONDS = 3600.0
"""A link for a friend is sent to somebody, who may look at it later."""

_IDLE_SECONDS = 12 * 3600.0
"""A session that nobody uses ends then."""

LONGEST_SECONDS = 7 * 86400.0
"""A session ends then at the latest."""

_MOST_TICKETS = 100
_MOST_SESSIONS = 100


def _key(secret: str) -> bytes:
    # By what they hash to: how long a search takes then says nothing about a secret.
    return sha256(secret.encode()).digest()


@dataclass
class Session:
    """One browser that may use the page. `name` stands for it in the log."""

    right: Right
    begun: float
    used: float
    csrf: str = field(default_factory=lambda: token_urlsafe(32))
    name: str = field(default_factory=lambda: token_hex(3))
    over: bool = False
    """Whether somebody has ended it. Answers under way end too."""


class Sessions:
    """Gives out tickets, and makes sessions of them. `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._tickets: dict[bytes, tuple[Right, float]] = {}
        self._sessions: dict[bytes, Session] = {}

    def new_ticket(self, right: Right, seconds: float = TICKET_SECONDS) -> str:
        """Return a ticket that is good for one use, for so many seconds."""
        now = self._clock()
        self._tickets = {key: one for key, one in self._tickets.items() if one[1] > now}
        if len(self._tickets) >= _MOST_TICKETS:
            del self._tickets[next(iter(self._tickets))]
        ticket = token_urlsafe(32)
        self._tickets[_key(ticket)] = right, now + seconds
        return ticket

    def redeem(self, ticket: str) -> Right | None:
        """Return the right that a ticket gives, and forget the ticket. None: it gives none."""
        right, until = self._tickets.pop(_key(ticket), (None, 0.0))
        return right if until > self._clock() else None

    def begin(self, right: Right) -> tuple[str, Session]:
        """Begin a session; return the secret that its browser has to show, and the session."""
        now = self._clock()
        self._forget_old(now)
        if len(self._sessions) >= _MOST_SESSIONS:
            self._end(min(self._sessions, key=lambda key: self._sessions[key].used))
        secret = token_urlsafe(32)
        session = self._sessions[_key(secret)] = Session(right, now, now)
        return secret, session

    def find(self, secret: str) -> Session | None:
        """Return the session of a secret, and note that it is used. None: there is none."""
        now = self._clock()
        self._forget_old(now)
        session = self._sessions.get(_key(secret))
        if session is not None:
            session.used = now
        return session

    def touch(self, session: Session) -> None:
        """Note that a session is used: somebody follows what goes on."""
        session.used = self._clock()

    def end(self, session: Session) -> None:
        """End a session. Idempotent."""
        for key, other in list(self._sessions.items()):
            if other is session:
                self._end(key)

    def _end(self, key: bytes) -> None:
        self._sessions.pop(key).over = True

    def _forget_old(self, now: float) -> None:
        for key, session in list(self._sessions.items()):
            if now - session.used > _IDLE_SECONDS or now - session.begun > LONGEST_SECONDS:
                self._end(key)
