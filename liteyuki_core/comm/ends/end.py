"""One end of a channel in one process: what it sends, what it receives, and how long it lives.

An end has two halves with invariants of their own, under one lock, the site's. Here is what
concerns both: its handles, its closing, the end of the other side, its numbers.

Invariants, under the lock: an end that is closed is no longer among the ends of its process, has
passed on what was gathered, and has acknowledged all that was handed out; a message with this
channel in it that was sent from here is counted in `_holds`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from ... import log
from ...errors import ChannelError
from ..loop.site import Site
from .port import Port
from .receiving import Receiving
from .sending import Sending
from .state import State
from .stop import Stop
from .turns import Turns


class Handle:
    """What users hold of an end, as far as sending it through a channel goes."""

    _shared_class: ClassVar[Any]
    """What the other side gets: it makes one by `_of(end)`."""

    def _open(self) -> End:
        raise NotImplementedError


class Ends(Protocol):
    """The ends of one process, as each of them needs to know them."""

    def link(self, found: Any) -> tuple[str, Any] | None:
        """Return the key of a channel that is sent, and what is to be known of it; else None."""

    def find(self, key: str, about: Any) -> Any:
        """Return a handle on the channel that a message has brought."""

    def hold(self, key: str) -> None:
        """Learn that a message with the channel `key` in it is sent. Under the lock."""

    def forget(self, end: End) -> None:
        """Drop an end that was closed. Under the lock."""


class End:
    """One end of a channel in this process. Any thread may call its methods."""

    def __init__(
        self,
        ends: Ends,
        site: Site,
        port: Port,
        turns: Turns,
        stop: Stop,
        state: State,
        key: str,
        *,
        made: bool,
    ) -> None:
        self.site = site
        self.lock = site.lock
        self.number = state.number
        self.capacity = state.capacity
        self.key = key
        """What every process knows the channel by."""
        self._ends = ends
        self._port = port
        self._stop = stop
        self._state = state
        self.sending = Sending(state, site, port, turns, ends.link, ends.hold)
        self.receiving = Receiving(state, site, port, turns, stop, ends.find)
        self._handles = 0
        self._made = made
        """Whether the channel was made by this process."""
        self._holds = 0
        """How many messages were sent from here with this channel in them."""

    @property
    def name(self) -> str:
        """The channel's name, or what the log says for one without."""
        return self._state.name

    @property
    def anonymous(self) -> bool:
        """Whether handles alone lead to it, so that it is closed when there is none any more."""
        return self._state.anonymous

    @property
    def closed(self) -> bool:
        """Whether it was closed here."""
        return self._state.closed

    @property
    def gone(self) -> ChannelError | None:
        """What a send raises because the other side closed or is lost."""
        return self._state.gone

    def named(self, name: str | None = None) -> None:
        """Learn that it can be got by name, and by which, where that is new. Under the lock."""
        self._state.name = name or self._state.name
        self._state.anonymous = False

    def flush(self) -> None:
        """Pass on what was gathered: acknowledgements, then messages."""
        self.receiving.handed.attend()
        self.sending.flush()

    def stats(self) -> dict[str, int]:
        """Return the counters of `Channel.stats`.

        They are taken from what is counted anyway, and counted a batch at a time: while
        messages pass, a number may be a few behind another.
        """
        sending, receiving = self.sending, self.receiving
        with self.lock:
            sent, acknowledged = sending.counted()
            received, backlog = receiving.counted()
            return {
                "sent": sent,
                "received": received,
                "acknowledged": acknowledged,
                "redelivered": receiving.redelivered,
                "dropped": sending.dropped + receiving.dropped,
                "errors": receiving.errors,
                "backlog": backlog,
                "capacity": self.capacity,
                "bytes": sending.bytes + receiving.bytes,
            }

    # ------------------------------------------------------------- handles

    def took_handle(self) -> None:
        """Count a handle on this end. Under the lock."""
        self._handles += 1

    def lost_handle(self) -> None:
        """Learn that a handle is gone. From anywhere, also from its finaliser."""
        self.site.soon(self._lost_handle)  # A finaliser may run between any two lines.

    def _lost_handle(self) -> None:
        """Leave this end where it has no name, no handle and no callbacks: nobody can use it."""
        with self.lock:
            self._handles -= 1
            if self._handles or not self._state.anonymous or self._state.closed:
                return
            if self.receiving.has_callbacks:
                return
            if self._stop.crashed:
                return  # It was not let go of by whoever had it: the end of the process is next.
            self._end(self._port.leave)
        self._port.pump()

    # ------------------------------------------------------------- ending

    def close(self) -> None:
        """Close this end: flush, tell the other side, wake who waits here. Idempotent."""
        with self.lock:
            if self._state.closed:
                return
            unread = self._end(self._port.close)
        self._port.pump()
        if unread:
            log.logger.warning(f"channel {self.name}: closed with {unread} messages unread")

    def _end(self, tell: Callable[[int], None]) -> int:
        self.sending.lock_out()
        self.sending.pass_on()
        self.receiving.handed.finish()
        self._state.closed = True
        unread = self.receiving.let_go()
        tell(self.number)
        self._ends.forget(self)
        self._wake_all()
        self.receiving.detach()
        return unread

    def is_sent(self) -> None:
        """Learn that a message with this channel is sent: somebody may get it. Under the lock."""
        self._holds += 1
        if self._made:
            self._state.gone, self._state.last = None, False

    def on_gone(self, kind: type[ChannelError] | None, why: str, last: bool, holds: int) -> None:
        """Learn that the other side closed or is lost, or, with None, is back. Under the lock.

        `last` says that no message of it is still to come, `holds` how often the hub had seen this
        channel sent from here.
        """
        if self._made and kind is not None and holds != self._holds:
            return
        self._state.gone = None if kind is None else kind(f"channel {self.name}: {why}", self.name)
        self._state.last = last
        if kind is not None:
            self._wake_all()

    def lost(self, kind: type[ChannelError], why: str) -> None:
        """Learn that the way to the hub is gone. Under the lock."""
        self.sending.lock_out()
        self.receiving.let_go()
        self._state.lost = True
        self.on_gone(kind, why, True, self._holds)

    def _wake_all(self) -> None:
        self.sending.wake_all()
        self.receiving.wake_all()
