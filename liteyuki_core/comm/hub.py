"""The main process's switchboard: channel names, and custody of every message under way.

A *route* is a channel as the hub sees it: two sides, each with the peers that hold it. What a
peer on one side sends is kept here until the other side has acknowledged it, so a sender need
not keep it, and it can be given to a successor of a receiver that died. Batches are passed on
as they are, with new sequence numbers in front.

Peers are the links to child processes and the main process's own context; the hub treats them
alike. Methods whose docstring says so are called under `lock`, the lock of the main process's
context. Nothing here waits, runs user code or looks into a message.

Invariants: a batch is either in its side's `waiting` or, with its holder, in `sent`; both are in
order of sequence numbers; what is acknowledged is in neither and was reported to its sender once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from .. import log
from ..errors import (
    ChannelClosed,
    ChannelError,
    ChannelExists,
    FrameError,
)
from . import frames
from .context import Context
from .link import Endpoint
from .peer import LinkPeer, LocalPort, Peer


class _Holder:
    __slots__ = ("number", "outstanding", "peer", "ready")

    def __init__(self, peer: Peer, number: int) -> None:
        self.peer = peer
        self.number = number
        self.ready = False
        self.outstanding = 0


class _Entry:
    __slots__ = ("batch", "done", "holder", "left", "number", "source")

    def __init__(self, batch: frames.Batch, source: Peer, number: int) -> None:
        self.batch = batch
        self.source = source
        self.number = number
        self.left = batch.count
        self.done: set[int] | None = None
        """What is acknowledged, once that is not simply the first messages."""
        self.holder: _Holder | None = None

    def acknowledged(self) -> set[int]:
        """Return the numbers of the messages that were acknowledged."""
        if self.done is not None:
            return self.done
        first = self.batch.first
        return set(range(first, first + self.batch.count - self.left))


class _Side:
    """One side of a route and what is under way to it."""

    def __init__(self, process: str | None) -> None:
        self.process = process
        """The process this side belongs to; None for one that any process may hold."""
        self.holders: dict[Peer, _Holder] = {}
        self.waiting: deque[_Entry] = deque()
        self.sent: dict[int, _Entry] = {}
        self.next = 0
        self.lost: set[str | None] = set()
        self.ended: type[ChannelError] | None = None
        """Set when nobody holds this side and nobody will, to what the other side gets."""
        self.why = ""


class Route:
    """One channel."""

    def __init__(self, capacity: int, maker: str | None, other: str | None) -> None:
        self.name: str | None = None
        self.capacity = capacity
        self.sides = (_Side(maker), _Side(other))


MAIN = "\0main"
"""Stands for the main process among the owners of sides; no process can have this name."""


class Hub:
    """The switchboard. It owns the links to the children through their peers."""

    def __init__(self, context: Context) -> None:
        self.lock = context.lock
        self.max_message_bytes = context.max_message_bytes
        self.local = LocalPort(self, context)
        context.port = self.local
        self._routes: dict[str, Route] = {}
        self._peers: list[LinkPeer] = []
        self._unsent: set[LinkPeer] = set()
        self._notes: deque[str] = deque()

    # ------------------------------------------------------------- processes

    def add_process(self, process: str) -> None:
        """Make the two channels of a process. Raises `ChannelExists`."""
        with self.lock:
            names = [f"{process}-active", f"{process}-passive"]
            for name in names:
                self._check_free(name)
            for name in names:
                self._add(name, Route(1024, MAIN, process))
        self.pump()

    def connect(
        self,
        process: str,
        endpoint: Endpoint,
        on_end: Callable[[str | None], None],
        on_running: Callable[[], None],
    ) -> LinkPeer:
        """Return the peer of a process that has just been started, reading."""
        peer = LinkPeer(self, process, endpoint, on_end, on_running)
        with self.lock:
            self._peers.append(peer)
            for route in self._routes.values():
                for i, side in enumerate(route.sides):
                    if side.process == process and side.ended is not None and not side.holders:
                        side.ended = None
                        self._tell(route, 1 - i)
            peer.renamed({name: route.capacity for name, route in self._routes.items()}, [])
        peer.link.start()
        self.pump()
        return peer

    def process_ended(self, process: str, kind: type[ChannelError], why: str) -> None:
        """Learn that a process is gone and nobody will start it again."""
        with self.lock:
            for peer in list(self._peers):
                if peer.process == process:
                    self.detach(peer)
            routes = {id(route): route for route in self._routes.values()}
            peers: list[Peer] = [self.local, *self._peers]
            for held in peers:
                for route, _ in held.ends.values():
                    routes[id(route)] = route
            for route in routes.values():
                for i, side in enumerate(route.sides):
                    if not side.holders and (side.process == process or process in side.lost):
                        side.lost.clear()
                        self._end_side(route, i, kind, why)
                        if i == 0:
                            self._release_name(route)
        self.pump()

    # ------------------------------------------------------------- what peers ask, under the lock

    def open(self, peer: Peer, number: int, name: str | None, capacity: int) -> None:
        """Give `peer` an end of the channel `name`, or of a new one. Under the lock."""
        if number in peer.ends:
            raise FrameError(f"channel number {number} is open already")
        if name is None:
            route, i = Route(capacity, peer.process or MAIN, None), 0
        else:
            found = self._routes.get(name)
            if found is None:
                peer.gone(number, ChannelClosed, "it was closed", True)
                return
            route, i = found, self._side_for(found, peer)
        peer.ends[number] = (route, i)
        side = route.sides[i]
        holder = _Holder(peer, number)
        holder.ready = peer.eager and (side.process is not None or not side.holders)
        side.holders[peer] = holder
        if side.ended is not None:
            side.ended = None
            self._tell(route, 1 - i)
        self._push(side)
        self._tell(route, i)
        if self._is_left(route):
            self._release_name(route)

    def register(self, peer: Peer, number: int, name: str) -> None:
        """Name the channel that `peer` holds as `number`. Under the lock.

        Raises `ChannelExists`.
        """
        held = peer.ends.get(number)
        if held is None:
            return  # Closed meanwhile.
        taken = self._routes.get(name)
        if taken is not None and self._is_left(taken):
            self._note_dropped(taken, sum(e.left for side in taken.sides for e in side.waiting))
            self._remove_name(taken)
        self._check_free(name)
        route, _ = held
        if route.name is not None:
            self._remove_name(route)
        self._add(name, route)

    def data(self, peer: Peer, number: int, batch: frames.Batch) -> None:
        """Take a batch into custody and pass it on. Under the lock."""
        held = peer.ends.get(number)
        if held is None:
            return
        route, i = held
        side = route.sides[1 - i]
        if side.ended is ChannelClosed:
            self._notes.append(
                f"channel {route.name or '(unnamed)'}: {batch.count} messages came after the other "
                "side had closed and are dropped"
            )
            peer.acknowledged(number, batch.count)
            return
        if batch.first != side.next:
            batch = batch.with_first(side.next)
        side.next += batch.count
        side.waiting.append(_Entry(batch, peer, number))
        self._push(side)

    def acknowledge(self, peer: Peer, number: int, ranges: list[tuple[int, int]]) -> None:
        """Let go of messages that were handled. Under the lock."""
        held = peer.ends.get(number)
        if held is None:
            return
        side = held[0].sides[held[1]]
        # One frame tells a sender of all its messages, however many batches they came in.
        settled: dict[tuple[Peer, int], int] = {}
        for first, count in ranges:
            entry = side.sent.get(first)
            if entry is not None and entry.left == entry.batch.count == count:
                self._settled(entry, count, settled)
                del side.sent[first]
            else:
                self._settle(side, first, first + count, settled)
        for (source, number), count in settled.items():
            source.acknowledged(number, count)

    def ready(self, peer: Peer, number: int) -> None:
        """Learn that `peer` receives. Under the lock."""
        held = peer.ends.get(number)
        if held is None:
            return
        route, i = held
        holder = route.sides[i].holders[peer]
        if not holder.ready:
            holder.ready = True
            self._push(route.sides[i])
            self._tell(route, i)

    def close(self, peer: Peer, number: int) -> None:
        """Take back an end that was closed on purpose. Under the lock."""
        held = peer.ends.pop(number, None)
        if held is None:
            return
        route, i = held
        self._drop_holder(route.sides[i], peer)
        if not route.sides[i].holders:
            self._end_side(route, i, ChannelClosed, "it was closed by the other side")
            self._release_name(route)

    def detach(self, peer: LinkPeer) -> None:
        """Take back all ends of a peer whose link ended. Under the lock. Idempotent."""
        if peer in self._peers:
            self._peers.remove(peer)
        for route, i in peer.ends.values():
            side = route.sides[i]
            self._drop_holder(side, peer)
            side.lost.add(peer.process)
            self._push(side)
        peer.ends.clear()

    def names(self) -> dict[str, int]:
        """Return all names with their channels' capacities. Under the lock."""
        return {name: route.capacity for name, route in self._routes.items()}

    # ------------------------------------------------------------- sending on

    def queued(self, peer: LinkPeer) -> None:
        """Note that something is queued on a link. Under the lock."""
        self._unsent.add(peer)

    def pump(self) -> None:
        """Get moving what is queued on links and log what is to be said. From any thread."""
        while self._unsent:
            try:
                peer = self._unsent.pop()
            except KeyError:
                break
            peer.link.pump()
        while self._notes:
            log.logger.warning(self._notes.popleft())

    def close_links(self, timeout: float) -> None:
        """End every link that is left."""
        for peer in list(self._peers):
            peer.link.close(timeout)

    def abandon(self) -> None:
        """Let go of all links in a forked copy of the process."""
        for peer in self._peers:
            peer.link.abandon()

    # ------------------------------------------------------------- inside

    def _side_for(self, route: Route, peer: Peer) -> int:
        process = peer.process or MAIN
        maker, other = route.sides
        if other.process is not None:  # One process's own channel: all others talk to it.
            return 1 if other.process == process else 0
        return 0 if maker.process == process and not maker.holders else 1

    def _push(self, side: _Side) -> None:
        while side.waiting:
            holder = None
            for candidate in side.holders.values():
                if candidate.ready and (
                    holder is None or candidate.outstanding < holder.outstanding
                ):
                    holder = candidate
            if holder is None:
                return
            entry = side.waiting.popleft()
            entry.holder = holder
            holder.outstanding += entry.left
            side.sent[entry.batch.first] = entry
            holder.peer.deliver(holder.number, entry.batch)

    def _settle(
        self, side: _Side, first: int, stop: int, settled: dict[tuple[Peer, int], int]
    ) -> None:
        finished = []
        for start, entry in side.sent.items():
            if start >= stop:
                break
            end = start + entry.batch.count
            if end <= first:
                continue
            low, high = max(first, start), min(stop, end)
            if entry.done is None and low == start + entry.batch.count - entry.left:
                count = high - low
            else:
                done = entry.done = entry.acknowledged()
                before = len(done)
                done.update(range(low, high))
                count = len(done) - before
            self._settled(entry, count, settled)
            if not entry.left:
                finished.append(start)
        for start in finished:
            del side.sent[start]

    def _settled(self, entry: _Entry, count: int, settled: dict[tuple[Peer, int], int]) -> None:
        entry.left -= count
        if entry.holder is not None:
            entry.holder.outstanding -= count
        sender = entry.source, entry.number
        settled[sender] = settled.get(sender, 0) + count

    def _drop_holder(self, side: _Side, peer: Peer) -> None:
        holder = side.holders.pop(peer, None)
        if holder is None:
            return
        back: list[_Entry] = []
        for start in [start for start, entry in side.sent.items() if entry.holder is holder]:
            entry = side.sent.pop(start)
            done = entry.acknowledged()
            if not done:
                entry.holder = None
                back.append(entry)
            else:
                for batch in entry.batch.without(done):
                    back.append(_Entry(batch, entry.source, entry.number))
        if back:
            side.waiting.extend(back)
            side.waiting = deque(sorted(side.waiting, key=lambda entry: entry.batch.first))

    def _end_side(self, route: Route, i: int, kind: type[ChannelError], why: str) -> None:
        side = route.sides[i]
        side.ended, side.why = kind, why
        self._tell(route, 1 - i)
        if kind is ChannelClosed:
            count = sum(entry.left for entry in (*side.waiting, *side.sent.values()))
            side.waiting.clear()
            side.sent.clear()
            self._note_dropped(route, count)

    def _note_dropped(self, route: Route, count: int) -> None:
        if count:
            self._notes.append(
                f"channel {route.name or '(unnamed)'} has ended with {count} messages sent "
                "and not acknowledged"
            )

    def _is_left(self, route: Route) -> bool:
        """Return whether its maker is gone: its name serves only whoever has yet to drain it."""
        return route.sides[0].ended is not None and route.sides[1].process is None

    def _release_name(self, route: Route) -> None:
        """Give a name free, unless messages wait there for whoever gets the channel by it."""
        if any(side.waiting and not side.holders and side.ended is None for side in route.sides):
            return
        self._remove_name(route)

    def _tell(self, route: Route, i: int) -> None:
        """Tell the holders of side `i` how the other side is."""
        side, other = route.sides[i], route.sides[1 - i]
        for holder in side.holders.values():
            holder.peer.gone(holder.number, other.ended, other.why, not side.waiting)

    def _check_free(self, name: str) -> None:
        if name in self._routes:
            raise ChannelExists(
                f"a channel named {name!r} exists already; take another name or close that one",
                name,
            )

    def _add(self, name: str, route: Route) -> None:
        route.name = name
        self._routes[name] = route
        for peer in self._peers:
            peer.renamed({name: route.capacity}, [])

    def _remove_name(self, route: Route) -> None:
        name, route.name = route.name, None
        if name is not None and self._routes.pop(name, None) is not None:
            for peer in self._peers:
                peer.renamed({}, [name])
