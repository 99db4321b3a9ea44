"""What one process has of channels: its ends, its site, its way to the hub.

The main process's context calls the hub directly. A child's context uses the child's one link. Both
go through the methods of a port, so ends need not know which port it is.

Ownership. The context owns its ends and its site, which has the lock, the dispatcher and the
attendant. Its port owns the way to the hub. `close` ends the dispatcher, the attendant, the ends
and the port, in this order.

Invariant, under the lock: each end is in `ends` by its number and in `_by_key` by its key, until it
is closed.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic, sleep
from typing import Any

from .. import log
from ..errors import ChannelClosed, ChannelError, ChannelExists, ChannelNotFound, NotConnected
from ..language import Phrase, say
from .ends.end import End, Handle
from .ends.port import ContextPort
from .ends.state import State
from .ends.stop import SETTLE_SECONDS, Stop, Stoppable
from .ends.turns import Turns
from .loop.receiver import of_thread
from .loop.site import Site
from .store.access import Access
from .wire.words import FAR, FAR_QUEUE, QUEUE


class Context:
    """The ends and the way to the hub of one process. Any thread may call its methods."""

    def __init__(self, process: str | None, *, max_message_bytes: int, own_loop: bool) -> None:
        self.site = Site(process, max_message_bytes=max_message_bytes, own_loop=own_loop)
        self.process = process
        self.max_message_bytes = max_message_bytes
        self.lock = self.site.lock
        self.wakes = self.site.wakes
        self.dispatcher = self.site.dispatcher
        self.ends: dict[int, End] = {}
        self.stop = Stop(self.site, self._stoppable, self._stop_listening)
        self.port: ContextPort
        self.turns: Turns
        self.access: Access
        self.pools: dict[str, Any] = {}
        """By name: what this process has of workers that it has called, see `workers.py`."""
        self._by_key: dict[str, End] = {}
        self._last_number = 0
        self._closed: str | None = None
        self.crosses = False
        """Whether channels of this process may have ends on other nodes of a cluster."""

    def connect(self, port: ContextPort, access: Access) -> None:
        """Set the ways to the hub and to the store. Called before all other methods."""
        self.port = port
        self.turns = Turns(self.site, port.pump)
        self.access = access

    def make(self, name: str | None, capacity: int) -> End:
        """Return this process's end of a new channel. `register` lets other processes get it."""
        with self.lock:
            end = self._add(None, name or "(unnamed)", True, capacity)
            self.port.open(end.number, None, capacity)
        self.port.pump()
        return end

    def get(self, name: str) -> End:
        """Return this process's end of channel `name`. Raises `ChannelNotFound`."""
        with self.lock:
            found = self.port.find(name)
            if found is None:
                known = ", ".join(sorted(self.port.names())) or "none"
                raise ChannelNotFound(
                    f"no channel is named {name!r} (there are: {known}); call "
                    "set_channel in the process that makes it; NAME-active and NAME-passive "
                    "exist once process NAME was added",
                    name,
                )
            capacity, key = found
            end = self._reach(self._known(key), name, False, capacity)
            end.named()
        self.port.pump()
        return end

    def queue(self, name: str, capacity: int | None) -> End:
        """Return this process's end of the queue `name`, which is made if there is none.

        With a `capacity` of None it is not made: raises `ChannelNotFound`. Raises `ChannelExists`
        if a channel has the name.
        """
        key = f"{QUEUE}{name}"
        with self.lock:
            before = self._by_key.get(key)
            if before is not None and not before.is_drained:
                return before
            found = self.port.find(name)
            if found is not None and self._known(found[1]) != key:
                raise ChannelExists(
                    f"{name!r} is a channel, so it can be no queue; take another name", name
                )
            if capacity is None:
                if found is None:
                    raise ChannelNotFound(
                        f"no queue is named {name!r}; a process makes it with Queue({name!r})", name
                    )
                capacity = found[0]
            if before is not None:  # Of a queue that was closed. This is another one.
                before.close()
            end = self._reach(key, name, False, capacity)
            if found is not None and found[1] != key:
                end.is_far()
        self.port.pump()
        return end

    @staticmethod
    def _known(key: str) -> str:
        """Return the key by which a channel is opened, wherever it is."""
        return key.removeprefix(FAR) if key.startswith(FAR_QUEUE) else key

    def _reach(self, key: str, name: str, anonymous: bool, capacity: int) -> End:
        """Return this process's end of channel `key`, a new one if it has none. Under the lock.

        The caller pumps the port after that.
        """
        end = self._by_key.get(key)
        if end is None:
            end = self._add(key, name, anonymous, capacity)
            self.port.open(end.number, key, capacity)
        return end

    def register(self, name: str, end: End) -> None:
        """Let every process get the channel of `end` as `name`. Raises `ChannelExists`."""
        if end.key.startswith(QUEUE):
            raise ValueError(f"queue {end.name} has its name already; make another with Queue()")
        with self.lock:
            found = self.port.find(name)
            if found is not None and found[1] == end.key:
                return
        self.port.register(end.number, name)
        with self.lock:
            end.named(name)

    def link(self, found: Any) -> tuple[str, Any] | None:
        """Return the key of a channel that is sent and its description; None for other objects.

        Raises `ValueError` for a channel that is closed here or belongs to another context.
        """
        if not isinstance(found, Handle):
            return None
        end = found._open()
        if end.closed or end.site is not self.site:
            raise ValueError(f"channel {end.name} is closed")
        return end.key, (found._shared_class, end.name, end.anonymous, end.capacity)

    def find(self, key: str, about: Any) -> Any:
        """Return a handle on the channel that a message has brought. Not under the lock."""
        kind, name, anonymous, capacity = about
        with self.lock:  # Find and make the handle under one lock: the last other handle may go.
            handle = kind._of(self._reach(key, name, anonymous, capacity))
        self.port.pump()
        return handle

    def hold(self, key: str) -> None:
        """Note that a message with the channel `key` in it is sent. Under the lock."""
        self.port.hold(key)
        end = self._by_key.get(key)
        if end is not None:
            end.is_sent()

    def rekey(self, number: int, key: str) -> None:
        """Note that the channel held as `number` now has the key `key`. Under the lock."""
        end = self.ends.get(number)
        if end is not None and end.key != key:
            self._by_key.pop(end.key, None)
            end.key = key
            self._by_key[key] = end

    def forget(self, end: End) -> None:
        """Drop an end that was closed. Under the lock."""
        self.ends.pop(end.number, None)
        if self._by_key.get(end.key) is end:
            del self._by_key[end.key]

    @property
    def ended(self) -> bool:
        """Whether the way to the hub is gone."""
        return self._closed is not None

    def lost(self, kind: type[ChannelError], why: str) -> None:
        """Tell every end that the way to the hub is gone."""
        with self.lock:
            self._closed = why
            for end in self.ends.values():
                end.lost(kind, why)
            self.access.lost(why)

    def close(self, timeout: float, *, handled: bool = True) -> None:
        """Flush and end everything within about `timeout` seconds. Idempotent.

        Unless `handled`, the message that this thread was given last stays unacknowledged. Messages
        in hand of other receivers are waited for half of the time. Then they stay unacknowledged.
        """
        deadline = monotonic() + timeout
        if handled:
            for end in list(self.ends.values()):
                end.receiving.handed.handled(of_thread())
        begun = self.stop.why is not None
        self.stop.begin("this process is stopping")
        self.dispatcher.close(timeout / 2, begun=begun)
        while handled and self.stop.is_handling() and monotonic() < deadline - timeout / 2:
            sleep(SETTLE_SECONDS)
        self.stop.end_receiving("this process is stopping")
        self.site.close()
        self.turns.close()
        with self.lock:
            # Under one lock: later messages are refused. None is accepted and not sent.
            for end in self.ends.values():
                end.flush()
            self.lost(ChannelClosed, "this process's LiteyukiBot has stopped")
        names = {number: end.name for number, end in self.ends.items()}
        for number, count in self.port.shut(max(0.0, deadline - monotonic())).items():
            log.logger.error(
                say(
                    "channel {name}: {count} messages could not be handed to the main process "
                    "within {seconds:.1f} s and are lost",
                    name=names.get(number) or Phrase("(closed)"),
                    count=count,
                    seconds=timeout,
                )
            )

    def abandon(self) -> None:
        """Close the store's copies and the port's files in a forked copy of the process."""
        self.access.copies.close()
        self.port.abandon()

    def _stoppable(self) -> Iterable[Stoppable]:
        return [end.receiving for end in self.ends.values()]

    def _stop_listening(self) -> None:
        self.access.stop_listening()
        for end in self.ends.values():
            end.fail_requests(ChannelClosed, "this process is stopping")

    def _add(self, key: str | None, name: str, anonymous: bool, capacity: int) -> End:
        if self._closed is not None:
            raise NotConnected(f"channel {name} can't be used any more: {self._closed}")
        self.site.start_attending()
        number = self._last_number = self._last_number + 1
        made = key is None
        key = key or f"{self.port.prefix}{number}"
        state = State(number, name, anonymous, capacity)
        end = End(self, self.site, self.port, self.turns, self.stop, state, key, made=made)
        self.ends[number] = self._by_key[key] = end
        return end
