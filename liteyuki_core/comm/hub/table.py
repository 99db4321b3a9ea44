"""The table of the channels that there are: by name and by key, who may have them, how they end.

The process that makes a channel gives it a key. A channel may also have a name. A channel without a
name is reached through the messages that carry it. A channel is forgotten that no peer holds and no
peer can get any more.

Ownership. The table owns the routes. It tells all who are in `peers` and `early` what names there
are. The caller of every method holds the hub's lock. Nothing here waits or runs user code.

Invariants.
- A key leads to its route while a peer holds an end of the channel, the channel has a name, or a
  message under way carries it.
- Only holders of the other side are told that a side has ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from ...errors import ChannelBroken, ChannelClosed, ChannelError, ChannelExists
from ...language import Phrase
from ..wire.words import FAR, QUEUE
from .notes import Notes
from .peeks import Peeks
from .reminder import Reminder
from .route import ChildPeer, Peer, Route
from .side import MAIN


class Table:
    """The channels by name and by key."""

    def __init__(self, notes: Notes, reminder: Reminder, peeks: Peeks) -> None:
        self.by_name: dict[str, Route] = {}
        self.by_key: dict[str, Route] = {}
        self.peers: list[ChildPeer] = []
        """The children whose process runs."""
        self.early: list[ChildPeer] = []
        """Processes whose turn has not come: they are told the names, and hold nothing."""
        self.yields: Callable[[str], bool] | None = None
        """Says whether a name may be taken that another node of a cluster has had."""
        self._made: Counter[str] = Counter()
        """How many channels there are, by the name of their maker."""
        self._brought: dict[str, set[str]] = {}
        """By key: the prefixes of the peers that were given a message that carries the channel."""
        self._last_serial = 0
        self._notes = notes
        self._reminder = reminder
        self._peeks = peeks

    # ------------------------------------------------------------- what there is

    def names(self) -> dict[str, tuple[int, str]]:
        """Return the capacity and the key of every channel that has a name."""
        return {name: (route.capacity, route.shown_key) for name, route in self.by_name.items()}

    def find(self, name: str) -> tuple[int, str] | None:
        """Return the capacity and the key of the channel of that name."""
        route = self.by_name.get(name)
        return None if route is None else (route.capacity, route.shown_key)

    def serial_of(self, name: str) -> int:
        """Return which channel has that name now; 0 if none has."""
        route = self.by_name.get(name)
        return 0 if route is None else route.serial

    def number_of(self, peer: Peer, key: str) -> int | None:
        """Return the number by which `peer` still has the end that it would get by this key.

        None if it has none, or if the channel has a name.
        """
        route = self.by_key.get(key)
        if route is None or route.name is not None:
            return None
        holder = route.sides[self.side_for(route, peer)].holders.get(peer)
        return None if holder is None else holder.number

    def made_by(self, process: str | None) -> int:
        """Return how many channels made by the child `process` exist."""
        return self._made[process or MAIN]

    def may_open(self, peer: Peer, route: Route) -> bool:
        """Return whether a peer may know a key: by a name, from a message, or as the maker."""
        if peer.process is None or route.name is not None or route.key.startswith(peer.prefix):
            return True
        return peer.prefix in self._brought.get(route.key, ())

    def side_for(self, route: Route, peer: Peer) -> int:
        """Return the side that a peer gets which opens the channel."""
        if route.is_queue:
            return route.own
        process = peer.process or MAIN
        maker, other = route.sides
        if other.process is not None:  # One child's own channel: all other peers talk to it.
            return 1 if other.process == process else 0
        return 0 if maker.process == process and not maker.holders else 1

    def lend(self, peer: Peer, keys: Iterable[str]) -> None:
        """Let `peer` open the channels of these keys."""
        for key in keys:
            if key in self.by_key:
                self._brought.setdefault(key, set()).add(peer.prefix)

    # ------------------------------------------------------------- making

    def make(self, key: str, capacity: int, maker: str, other: str | None) -> Route:
        """Return a new channel. Only the child `other`, if any, gets its side 1."""
        self._last_serial += 1
        route = self.by_key[key] = Route(
            *(key, capacity, maker, other, self._unlinked), serial=self._last_serial
        )
        self._made[maker] += 1
        return route

    def make_queue(self, maker: str, name: str, capacity: int) -> Route:
        """Return a new queue. The caller gives it its name."""
        key = f"{QUEUE}{name}"
        self._last_serial += 1
        route = self.by_key[key] = Route(
            *(key, capacity, maker, None, self._unlinked), serial=self._last_serial, is_queue=True
        )
        self._made[maker] += 1
        return route

    # ------------------------------------------------------------- names

    def check_free(self, name: str) -> None:
        """Raise `ChannelExists` if a channel has the name, and keeps it."""
        route = self.by_name.get(name)
        if route is not None and route.maker.startswith(FAR):
            if self.yields is None or not self.yields(name):
                raise ChannelExists(
                    f"node {route.maker[len(FAR) :]} of the cluster has a channel named {name!r}; "
                    "take another name or close that one",
                    name,
                )
            route.end_side(0, ChannelBroken, "this node has the name now")
            self.remove_name(route)
        elif route is not None:
            raise ChannelExists(
                f"a channel named {name!r} exists already; take another name or close that one",
                name,
            )

    def give_name(self, name: str, route: Route) -> None:
        """Give a channel a name that is free."""
        route.name = route.called = name
        self.by_name[name] = route
        self._peeks.see_to(route)
        for peer in (*self.peers, *self.early):
            peer.renamed({name: (route.capacity, route.shown_key)}, [])

    def remove_name(self, route: Route) -> None:
        """Take its name from a channel, if it has one."""
        name, route.name = route.name, None
        if name is not None and self.by_name.pop(name, None) is not None:
            for peer in (*self.peers, *self.early):
                peer.renamed({}, [name])
            if route.is_queue and not route.links:
                self.forget(route)  # Another queue may have its name now, and so its key.
            self.forget_if_unused(route)

    def release_name(self, route: Route) -> None:
        """Free the channel's name, now or as soon as nobody needs the name to drain the channel.

        Without a name the channel is not over: messages that carry it can bring it to new holders.
        """
        if route.name is None:
            return
        route.over = True
        if route.is_queue:
            if route.sides[route.own].is_empty:
                self.remove_name(route)
        elif all(s.is_empty or s.ended is not None or s.process == MAIN for s in route.sides):
            self.remove_name(route)

    # ------------------------------------------------------------- ends

    def look_at_end(self, route: Route, i: int) -> None:
        """See what follows if the other side has ended: messages for side `i` have moved."""
        if route.sides[route.other(i)].ended is not None:
            route.tell_last(i)
            if route.over:
                self.release_name(route)

    def end_if_unreachable(self, route: Route) -> None:
        """End side 1 of a channel without a name if no other peer has it or can get it."""
        side = route.sides[1]
        if route.links or route.name is not None or side.holders or side.ended is not None:
            return
        if route.is_queue:
            return
        if side.lost:
            lost = ", ".join(sorted(str(process) for process in side.lost))
            why = f"process {lost}, which had it, died and has no successor"
            route.end_side(1, ChannelBroken, why, let_go=True)
        else:
            route.end_side(
                1, ChannelClosed, "no process that it was sent to has it any more", let_go=True
            )

    def _unlinked(self, route: Route) -> None:
        self.end_if_unreachable(route)
        self.forget_if_unused(route)

    def forget_if_unused(self, route: Route) -> None:
        """Forget a channel that no peer has and no peer can get."""
        if route.unused and self.forget(route):
            for side in route.sides:
                self.note_dropped(route, side.clear())

    def forget(self, route: Route) -> bool:
        """Remove the route's key; return whether the key led to this route."""
        if self.by_key.get(route.key) is not route:
            return False
        del self.by_key[route.key]
        route.forgotten = True
        self._brought.pop(route.key, None)
        for side in route.sides:
            self._reminder.forget_unread(side)
        self._count_less(route)
        return True

    def change_maker(self, route: Route, maker: str) -> None:
        """Have another process be the maker of a channel."""
        self._count_less(route)
        route.maker = maker
        self._made[maker] += 1

    def _count_less(self, route: Route) -> None:
        self._made[route.maker] -= 1
        if not self._made[route.maker]:
            del self._made[route.maker]

    def note_dropped(self, route: Route, count: int) -> None:
        """Have the log say how many messages a channel has lost by its end."""
        if count:
            self._notes.add(
                "WARNING",
                Phrase(
                    "{channel} has ended with {count} messages sent and not acknowledged",
                    channel=route.title,
                    count=count,
                ),
            )

    def revive(self, process: str | None) -> None:
        """Have the two channels of a child's own go on. It makes its other channels itself."""
        for route in self.by_name.values():
            side = route.sides[1]
            if side.process == process and not side.holders:
                route.revive_side(1)

    # ------------------------------------------------------------- ends of queues

    def close_queue(self, route: Route) -> None:
        """Take no more messages for a queue. What it has is received, if anybody can."""
        side = route.sides[0]
        if route.is_stand_in and side.holders:
            for holder in list(side.holders.values()):  # The node that has it closes it for all.
                holder.peer.gone(holder.number, ChannelClosed, "it was closed", True, 0)
            return
        side.push()
        if side.ended is None:
            route.end_side(0, ChannelClosed, "it was closed")
        self.empty_queue(route)

    def empty_queue(self, route: Route) -> None:
        """See what follows for a closed queue: a holder is gone, or messages have moved."""
        ended, why = route.sides[0].ended, route.sides[0].why
        side = route.sides[route.own]
        if ended is None:
            return
        given_by_another = route.is_stand_in and route.sides[0].holders  # It takes them back.
        if not (side.holders or side.lost or given_by_another):
            self.note_dropped(route, side.clear())
            route.requests(route.own).refuse_all(ended, why)
        self.release_name(route)

    def lost_for_queue(
        self, route: Route, process: str, kind: type[ChannelError], why: str
    ) -> None:
        """Learn that a process which had the queue has no successor."""
        route.sides[route.own].lost.discard(process)
        if route.has_requests:
            requests = route.requests(route.own)
            nobody = not any(holder.ready for holder in requests.holders.values())
            if process in requests.lost and nobody and not requests.is_pooled:
                requests.refuse_all(kind, why)
            requests.lost.discard(process)
        route.sides[route.own].push()
        self.empty_queue(route)
        self.forget_if_unused(route)
