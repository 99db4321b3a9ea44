"""One end of a channel in one process: what it sends, what it receives, and how long it lives.

An end has two halves, each with its own invariants. Both are guarded by one lock, the site's. An
end that has made or answers requests has `Asking` and `Answering` beside them. This file has what
concerns all of these: handles, closing, the end of the other side, counters.

Ownership. The context makes an end and keeps it until it is closed. The end owns its halves. Any
thread calls it.

Invariants, under the lock:

- a closed end is no longer among the ends of its process; it has passed on the messages that it had
  gathered, and has acknowledged all messages that it had handed out
- `_holds` counts the messages that were sent from this process with this channel in them
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from ... import log
from ...errors import ChannelBroken, ChannelClosed, ChannelError
from ...language import say
from ..loop.site import Site
from ..wire.words import FAR
from .answering import Answering
from .asking import Asking
from .port import Port
from .receiving import Receiving
from .sending import Sending
from .state import State
from .stop import Stop
from .turns import Turns


class Handle:
    """The object that a user has of an end. Here: what is needed to send it through a channel."""

    _shared_class: ClassVar[Any]
    """The class of the handle that the other side gets. It makes one by `_of(end)`."""

    def _open(self) -> End:
        raise NotImplementedError


class Ends(Protocol):
    """The ends of one process, as one end sees them: its context.

    `crosses` says that channels of this process may have ends on other nodes of a cluster.
    """

    crosses: bool

    def link(self, found: Any) -> tuple[str, Any] | None:
        """Return the key of a channel that is sent and its description; None for other objects."""

    def find(self, key: str, about: Any) -> Any:
        """Return a handle on the channel that a message has brought. Not under the lock."""

    def hold(self, key: str) -> None:
        """Note that a message with the channel `key` in it is sent. Under the lock."""

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
        """The key of the channel, the same in every process."""
        self._ends = ends
        self._port = port
        self._turns = turns
        self._stop = stop
        self._state = state
        self.sending: Sending
        self.receiving: Receiving
        self.crosses = ends.crosses or key.startswith(FAR)
        if self.crosses:
            from .crossing import CrossingReceiving, CrossingSending

            self.sending = CrossingSending(state, site, port, turns, ends.link, ends.hold)
            self.sending.be_of(key)
            self.receiving = CrossingReceiving(state, site, port, turns, stop, ends.find)
        else:
            self.sending = Sending(state, site, port, turns, ends.link, ends.hold)
            self.receiving = Receiving(state, site, port, turns, stop, ends.find)
        self._asking: Asking | None = None
        self._answering: Answering | None = None
        self.hash = object.__hash__(self)
        """The hash of every handle on this end."""
        self._handles = 0
        self._made = made
        """Whether the channel was made by this process."""
        self._holds = 0
        """How many messages were sent from this process with this channel in them."""

    @property
    def asking(self) -> Asking:
        """The requests that this end has sent. Made when it is first used."""
        asking = self._asking
        if asking is None:
            with self.lock:
                asking = self._asking = self._asking or Asking(
                    self._state, self.site, self._port, self.sending
                )
        return asking

    @property
    def answering(self) -> Answering:
        """The requests that come for this end. Made when it is first used."""
        answering = self._answering
        if answering is None:
            with self.lock:
                answering = self._answering = self._answering or Answering(
                    self._state,
                    self.site,
                    self._port,
                    self._turns,
                    self.sending.serialise,
                    self.receiving.load,
                )
        return answering

    @property
    def name(self) -> str:
        """The channel's name. For a channel without a name, the text that the log shows."""
        return self._state.name

    @property
    def anonymous(self) -> bool:
        """Whether only handles lead to the channel. Then it ends when the last handle is gone."""
        return self._state.anonymous

    @property
    def closed(self) -> bool:
        """Whether this end was closed in this process."""
        return self._state.closed

    @property
    def is_drained(self) -> bool:
        """Whether the other side has ended and all that it has sent was received."""
        state = self._state
        return state.gone is not None and state.last and not self.receiving.counted()[1]

    @property
    def gone(self) -> ChannelError | None:
        """The error that `send` raises because the other side has closed or is lost, or None."""
        return self._state.gone

    def named(self, name: str | None = None) -> None:
        """Note that the channel can be got by name, and the name if it is new. Under the lock."""
        self._state.name = name or self._state.name
        self._state.anonymous = False

    def is_far(self) -> None:
        """Learn that what is sent goes to another node. Under the lock."""
        if self.crosses:
            self.sending.be_far()  # type: ignore[attr-defined]

    def be_of_type(self, kind: Any) -> None:
        """Learn the channel's type, if its messages may cross machines."""
        if self.crosses:
            from .crossing import be_of_type

            be_of_type(self.sending, self.receiving, kind)

    def keep_types(self) -> None:
        """Have processes of this node get just what is sent, also where it may cross machines."""
        if self.crosses:
            from .crossing import keep_types

            keep_types(self.sending)

    def flush(self) -> None:
        """Pass on what was gathered: the acknowledgements, then the messages, then the answers."""
        self.receiving.handed.attend()
        self.sending.flush()
        if self._answering is not None:
            with self.lock:
                self._answering.pass_on()
            self._port.pump()

    def stats(self) -> dict[str, int]:
        """Return the counters of `Channel.stats`.

        Messages are counted a batch at a time. So one counter may be a few messages behind
        another while messages pass.
        """
        sending = self.sending
        with self.lock:
            sent, acknowledged = sending.counted()
            inboxes = [each for each in (self.receiving, self._answering) if each is not None]
            counted = [each.counted() for each in inboxes]
            return {
                "sent": sent,
                "received": sum([received for received, _ in counted]),
                "acknowledged": acknowledged,
                "redelivered": sum([each.redelivered for each in inboxes]),
                "dropped": sending.dropped + sum([each.dropped for each in inboxes]),
                "errors": sum([each.errors for each in inboxes]),
                "backlog": sum([backlog for _, backlog in counted]),
                "capacity": self.capacity,
                "bytes": sending.bytes + sum([each.bytes for each in inboxes]),
            }

    # ------------------------------------------------------------- handles

    def took_handle(self) -> None:
        """Count a handle on this end. Under the lock."""
        self._handles += 1

    def lost_handle(self) -> None:
        """Note that a handle is gone. From anywhere, also from the handle's finaliser."""
        self.site.soon(self._lost_handle)  # A finaliser may run at any line.

    def _lost_handle(self) -> None:
        """Leave this end if it has no name, no handle and no callbacks: nobody can use it."""
        with self.lock:
            self._handles -= 1
            if self._handles or not self._state.anonymous or self._state.closed:
                return
            if self.receiving.has_callbacks:
                return
            if self._answering is not None and self._answering.has_callbacks:
                return
            if self._stop.crashed:
                return  # The user has not dropped the handle. The process is about to end.
            self._end(self._port.leave)
        self._port.pump()

    # ------------------------------------------------------------- ending

    def close(self) -> None:
        """Close this end: flush it, tell the other side, wake all who wait here. Idempotent."""
        with self.lock:
            if self._state.closed:
                return
            unread = self._end(self._port.close)
        self._port.pump()
        if unread:
            log.logger.warning(
                say(
                    "channel {name}: closed with {count} messages unread",
                    name=self.name,
                    count=unread,
                )
            )

    def _end(self, tell: Callable[[int], None]) -> int:
        self.sending.lock_out()
        self.sending.pass_on()
        if self._answering is not None:
            self._answering.pass_on()
        self.receiving.handed.finish()
        self._state.closed = True
        unread = self.receiving.let_go()
        tell(self.number)
        self._ends.forget(self)
        self._wake_all()
        self.receiving.detach()
        if self._answering is not None:
            self._answering.detach()
        if self._asking is not None:
            self._asking.fail(ChannelClosed, "it was closed here before the answer came")
        return unread

    def is_sent(self) -> None:
        """Note that a message with this channel in it is sent. Under the lock.

        The receiver of that message may open the other side. So the other side of a channel that
        was made here no longer counts as gone.
        """
        self._holds += 1
        if self._made:
            self._state.gone, self._state.last = None, False

    def on_gone(
        self,
        kind: type[ChannelError] | None,
        why: str,
        last: bool,
        holds: int,
        lines: tuple[str, ...] = (),
    ) -> None:
        """Note that the other side has closed or is lost; with None, that it is back.

        Under the lock. `lines` are the last ones of a process that is lost. `last` says that no
        more messages of the other side will come. `holds` is how many messages with this channel in
        them the hub had seen from here. If more were sent since, the process that made the channel
        ignores the report. Nothing counts any more once the way to the hub is gone: what was
        accepted then could not be sent.
        """
        if self._state.lost or (self._made and kind is not None and holds != self._holds):
            return
        self._set_gone(kind, why, last, lines)

    def _set_gone(
        self, kind: type[ChannelError] | None, why: str, last: bool, lines: tuple[str, ...] = ()
    ) -> None:
        args: tuple[Any, ...] = (f"channel {self.name}: {why}", self.name)
        if kind is ChannelBroken:
            args = (*args, lines)
        self._state.gone = None if kind is None else kind(*args)
        self._state.last = last
        self._state.returns += kind is None
        self.receiving.look_at_end()
        if kind is not None:
            self.sending.lock_out()
            self._wake_all()

    def lost(self, kind: type[ChannelError], why: str) -> None:
        """Note that the way to the hub is gone. Under the lock."""
        self.sending.lock_out()
        self.receiving.let_go()
        self._state.lost = True
        self._set_gone(kind, why, True)
        self.fail_requests(kind, why)

    def fail_requests(self, kind: type[ChannelError], why: str) -> None:
        """End the wait for every answer to requests of this end. Under the lock."""
        if self._asking is not None:
            self._asking.fail(kind, why)

    def _wake_all(self) -> None:
        self.sending.wake_all()
        self.receiving.wake_all()
