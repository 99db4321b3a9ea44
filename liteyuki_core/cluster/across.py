"""What peers that are other nodes do with channels, besides what all peers do.

A node is one peer of the hub for all processes that it has. So its side of a channel may be lost
for some time, or may not receive though it holds it. And a queue that another node has is a
stand-in here, see `queues.py`.

Threads. The caller of every method holds the hub's lock.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..comm.hub.hub import Hub
from ..comm.hub.requests import Requests
from ..comm.hub.route import Peer
from ..comm.hub.side import MAIN, PROMPT_WINDOW, Holder, Side
from ..errors import ChannelError


class Across:
    """Does to the channels of a hub what other nodes say. `number` is the peer's, of its end."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._table = hub.table

    def break_off(
        self,
        peer: Peer,
        number: int,
        kind: type[ChannelError],
        why: str,
        lines: tuple[str, ...] = (),
        *,
        for_good: bool,
        more: bool,
    ) -> None:
        """Learn that the side that `peer` holds for others has ended.

        With `more`, messages that it has sent before are still to come.
        """
        held = peer.ends.get(number)
        if held is None:
            return
        route, i = held
        route.more_comes = more
        if not for_good:
            route.end_side(i, kind, why, lines, let_go=True)
            return
        del peer.ends[number]
        side = route.sides[i]
        side.drop_holder(peer, False, 0)
        if side.holders:
            route.drop_requests(i, peer, number)
            side.push()
            self._table.look_at_end(route, i)
        else:
            route.end_side(i, kind, why, lines)
            route.drop_requests(i, peer, number)
            self._table.note_dropped(route, side.clear())
            self._table.release_name(route)
        self._table.forget_if_unused(route)

    def come_back(self, peer: Peer, number: int) -> None:
        """Learn that such a side is no longer lost."""
        held = peer.ends.get(number)
        if held is not None:
            held[0].more_comes = False
            held[0].revive_side(held[1])

    def rests(self, peer: Peer, number: int, requests: bool = False) -> None:
        """Learn that `peer` receives no more, or answers no `requests`, until it says so."""
        held = peer.ends.get(number)
        if held is not None:
            side = held[0].side_of(held[1], requests)
            side.rests(side.holders[peer])

    # ------------------------------------------------------------- requests

    def is_silent(self, peer: Peer, number: int, silent: bool) -> None:
        """Learn whether it is certain that nobody answers requests at `peer`, another node."""
        held = peer.ends.get(number)
        if held is None:
            return
        route, i = held
        if not silent:
            if route.has_requests:
                route.requests(i).silent.discard(peer)
            return
        requests = route.requests(i)
        requests.silent.add(peer)
        if requests.waiting:
            self._hub.reminder.look_at_unanswered(route, i, self._table.peers)

    def refuse(
        self,
        peer: Peer,
        number: int,
        requests: Sequence[int],
        kind: type[ChannelError],
        why: str,
    ) -> None:
        """Learn that requests which `peer`, another node, was given are not answered."""
        held = peer.ends.get(number)
        if held is not None:
            side = held[0].requests(held[1])
            side.refuse(side.holders[peer], requests, kind, why)

    def take_requests_from(
        self, peer: Peer, number: int, kind: type[ChannelError], why: str
    ) -> None:
        """Learn that `peer`, another node, answers none of what it was given.

        Others may. If there are none, whoever has asked gets this error.
        """
        held = peer.ends.get(number)
        if held is None:
            return
        route, i = held
        requests = route.requests(i)
        requests.take_from(requests.holders[peer], kind, why)
        if requests.waiting:
            self._hub.reminder.look_at_unanswered(route, i, self._table.peers)

    # ------------------------------------------------------------- queues

    def stand_in(
        self, peer: Peer, number: int, name: str, capacity: int, mine: Side, heard: Requests
    ) -> bool:
        """Have queue `name` be that of `peer`, another node, which calls it `number`.

        `mine` and `heard` are this node's side. If this node has such a queue, which no other node
        holds, its processes go on with that of `peer`. Returns False if the name is another's.
        """
        route = self._table.by_name.get(name)
        maker = peer.process or MAIN
        if route is None:
            route = self._table.make_queue(maker, name, capacity)
        elif not route.is_queue or route.is_stand_in or route.over or self._hub.calls(name):
            return False
        else:
            self._table.change_maker(route, maker)
        route.stand_in(maker, mine, heard)
        for holder in mine.holders.values():
            holder.peer.ends[holder.number] = (route, 1)  # type: ignore[attr-defined]
        peer.ends[number] = (route, 0)
        route.hold(0, peer, number, True)
        self._table.give_name(name, route)
        route.sides[0].push()
        mine.share_anew(always=True)
        heard.share_anew(always=False)
        return True

    def send_on(self, peer: Peer, number: int) -> None:
        """Let `peer`, whose queue it is, have what was sent here and waits."""
        held = peer.ends.get(number)
        if held is not None:
            held[0].send_on()

    def hand_over(self, peer: Peer, number: int, to: Peer, new: int) -> None:
        """Have another node, `to`, hold what `peer` has held, and call it `new`."""
        held = peer.ends.pop(number, None)
        if held is None:
            return
        to.ends[new] = held
        route, i = held
        for side in (route.sides[i], route.requests(i)):
            holder = side.holders.pop(peer)
            holder.peer, holder.number = to, new
            side.holders[to] = holder
        route.sides[i].process = route.requests(i).process = to.process
        self._table.change_maker(route, to.process or MAIN)

    def gives_singly(self, peer: Peer, number: int) -> None:
        """Give `peer` each message of a queue alone, and only what it asks for."""
        route, i = peer.ends[number]
        side = route.sides[i]
        side.holders[peer].singly = True
        side.share_anew(always=True)

    def allow(self, peer: Peer, number: int, room: int, *, ready: bool) -> None:
        """Learn how many messages more `peer` asks for, all in all.

        It receives from now on, if it is `ready`.
        """
        held = peer.ends.get(number)
        if held is not None:
            route, i = held
            side = route.sides[i]
            if ready and not side.holders[peer].ready:
                self._hub.receives(peer, number, PROMPT_WINDOW, True)
            side.allow(side.holders[peer], room)
            self._hub.reminder.look_at_held(side)
            self._table.look_at_end(route, i)

    def put_back(self, peer: Peer, number: int, at: int, crashed: tuple[str, ...]) -> None:
        """Take back one message of a queue, after these crashes with it."""
        held = peer.ends.get(number)
        if held is not None:
            route, i = held
            side = route.sides[i]
            aside = side.put_back(side.holders[peer], at, crashed, self._hub.max_redeliveries)
            if aside is not None:
                self._hub.letters.set_aside(route, i, aside)
            self._table.look_at_end(route, i)

    def take_from(self, peer: Peer, number: int, crash: bool) -> None:
        """Take back all messages of a queue that `peer`, another node, was given.

        It receives no more until it says that it does.
        """
        held = peer.ends.get(number)
        if held is not None:
            route, i = held
            side = route.sides[i]
            for entry in side.drop_holder(peer, crash, self._hub.max_redeliveries):
                self._hub.letters.set_aside(route, i, entry)
            side.holders[peer] = Holder(peer, number, False)
            self.gives_singly(peer, number)
            side.push()
            self._table.look_at_end(route, i)

    def close_for_all(self, peer: Peer, number: int) -> None:
        """Learn that a process of another node has closed the queue."""
        held = peer.ends.get(number)
        if held is not None:
            self._table.close_queue(held[0])
            self._table.forget_if_unused(held[0])
