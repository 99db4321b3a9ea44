"""The main process's switchboard: channels by name and by key, and who holds them.

The hub knows its peers only by the protocol `Peer`. It treats all peers alike: the links to the
children and the main process's own context. `main.py` makes both. The process that makes a channel
gives it a key. A channel may also have a name. A channel without a name is reached through the
messages that carry it. The hub forgets a channel that no peer holds and no peer can get any more.

Ownership. The hub owns the routes, the messages that are set aside, and the `Reminder` with its
thread. `shut` ends that thread.

Threads. Some docstrings say "Under the lock": the caller of that method holds `lock`, the lock of
the main process's context. Any thread may call the other methods, without the lock. Nothing here
waits, runs user code or looks into a message.

Invariants.
- A key leads to its route while a peer holds an end of the channel, the channel has a name, or a
  message under way carries it.
- `route.links` counts the messages under way that carry the channel, and the holds: a peer asks
  for a hold before it sends a message that carries the channel.
- Only holders of the other side are told that a side has ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from ...errors import ChannelBroken, ChannelClosed, ChannelError, ChannelExists, FrameError
from ...language import Phrase
from ...unread import Unread
from ..wire import frames
from ..wire.batch import Batch
from ..wire.words import FAR, QUEUE, Ranges
from .calls import Calls, Pool
from .letters import DeadLetter, Letters
from .notes import Notes
from .peeks import Passed, Peeks
from .reminder import Reminder
from .requests import Asker, Requests
from .route import ChildPeer, Held, Peer, Route
from .side import MAIN, PROMPT_WINDOW, Entry, Holder, Side

_OWN_CAPACITY = 1024
"""Capacity of the two channels that every child has from its start."""


class Hub:
    """The switchboard: channels by name and by key, and the peers that hold them."""

    def __init__(self, lock: AbstractContextManager[Any], *, max_redeliveries: int = 3) -> None:
        self.lock = lock
        self._max_redeliveries = max_redeliveries
        self._names: dict[str, Route] = {}
        self._keys: dict[str, Route] = {}
        self._made: Counter[str] = Counter()
        """How many channels there are, by the name of their maker."""
        self._brought: dict[str, set[str]] = {}
        """By key: the prefixes of the peers that were given a message that carries the channel."""
        self._peers: list[ChildPeer] = []
        """The children whose process runs."""
        self._early: list[ChildPeer] = []
        """Processes whose turn has not come: they are told the names, and hold nothing."""
        self._last_key = 0
        self._last_serial = 0
        self._unsent: set[ChildPeer] = set()
        self._notes = Notes()
        self._letters = Letters(lock, self._notes, self.pump)
        self._reminder = Reminder(lock, self._notes, self.pump)
        self._peeks = Peeks()
        self.yields: Callable[[str], bool] | None = None
        """Says whether a name may be taken that another node of a cluster has had. Under the lock.
        """

    # ------------------------------------------------------------- children

    def add_process(self, process: str) -> None:
        """Make the two channels of a child. Raises `ChannelExists`."""
        with self.lock:
            names = [f"{process}-active", f"{process}-passive"]
            for name in names:
                self._check_free(name)
            for name in names:
                self._last_key += 1
                route = self._make(f"hub.{self._last_key}", _OWN_CAPACITY, MAIN, process)
                self._name(name, route)
        self.pump()

    def attach(self, child: ChildPeer) -> None:
        """Take in a child whose process was just started; tell it the names. Under the lock."""
        if child in self._early:
            self._early.remove(child)
        else:
            child.renamed(self.names(), [])
        self._peers.append(child)
        self._revive(child.process)

    def announce(self, child: ChildPeer) -> None:
        """Tell the names to a process that is to be attached later. Under the lock."""
        self._early.append(child)
        child.renamed(self.names(), [])

    def process_comes(self, process: str) -> None:
        """Learn that a child that was gone is started again. Others can send to it from now on."""
        with self.lock:
            self._revive(process)
        self.pump()

    def process_ended(
        self,
        process: str,
        kind: type[ChannelError],
        why: str,
        lines: tuple[str, ...] = (),
        *,
        for_good: bool = True,
    ) -> None:
        """Learn that the process of a child has ended; `for_good`: it will have no successor.

        `kind`, `why` and `lines`, its last ones, make the error that users of its channels get. A
        successor finds the channels that have names, and the channels in messages that come to it.
        """
        with self.lock:
            for peer in list(self._peers):
                if peer.process == process:
                    self.detach(peer)
            for route in list(self._keys.values()):
                if route.is_queue:
                    if for_good:
                        self._lost_for_queue(route, process, kind, why)
                    continue
                for i, side in enumerate(route.sides):
                    if side.holders or side.ended is not None:
                        continue
                    if side.process != process and (side.process or process not in side.lost):
                        continue
                    if for_good or (route.name is None and (i == 0 or not route.links)):
                        # The child's own two channels come back with its successor.
                        own = i == 1 and side.process == process
                        route.end_side(i, kind, why, lines, let_go=own)
                        if side.process == process:
                            self._note_dropped(route, side.under_way)
                        if route.sides[0].ended is not None:
                            self._release_name(route)
                self._forget_if_unused(route)
        self.pump()

    # ------------------------------------------------------------- calls of peers, under the lock

    def open(self, peer: Peer, number: int, key: str | None, capacity: int) -> None:
        """Give `peer` an end of channel `key`, or of a new channel if None. Under the lock."""
        if number in peer.ends:
            raise FrameError(f"channel number {number} is open already")
        if key is None:
            key = f"{peer.prefix}{number}"
            route, i = self._make(key, capacity, peer.process or MAIN, None), 0
        else:
            found = self._keys.get(key)
            if found is None and key.startswith(QUEUE):
                found = self._make_queue(peer, key, capacity)
            elif found is not None and not self._may_open(peer, found):
                found = None
            i = self._side_for(found, peer) if found is not None else 0
            if found is not None and found.is_queue:
                # Until it is empty one may help to empty it.
                over = found.over and found.sides[0].ended is not None and found.sides[i].is_empty
            else:
                over = found is not None and found.over and found.sides[i].ended is not None
            if found is None or over or peer in found.sides[i].holders:
                peer.gone(number, ChannelClosed, "it was closed", True, 0)
                return
            route = found
        peer.ends[number] = (route, i)
        side = route.sides[i]
        route.hold(i, peer, number, peer.eager and side.process == peer.process)
        if route.is_queue:
            side.lost.discard(peer.process)
        else:
            route.revive_side(i)
        side.push()
        route.tell(i)

    def register(self, peer: Peer, number: int, name: str) -> str | None:
        """Name the channel that `peer` holds as `number`; return its key from now on.

        If an earlier process of the same child made and named this channel, its successor goes on
        with that channel. Under the lock. Raises `ChannelExists`.
        """
        held = peer.ends.get(number)
        if held is None:
            return None  # The end was closed in the meantime.
        route, _ = held
        if route.is_queue:
            raise FrameError("a queue is registered, which has its name from its start")
        taken = self._names.get(name)
        if taken is not None and self._can_go_on(peer, held, taken):
            self._go_on(peer, number, route, taken)
            return taken.key
        if taken is not None and taken.over:
            sides = [side for side in taken.sides if not side.holders]
            self._note_dropped(taken, sum(e.remaining for side in sides for e in side.waiting))
            self._remove_name(taken)
        self._check_free(name)
        if route.name is not None:
            self._remove_name(route)
        self._name(name, route)
        return route.key

    def data(self, peer: Peer, number: int, batch: Batch) -> None:
        """Take a batch into custody and pass it on. Under the lock."""
        held = peer.ends.get(number)
        links = self._links_of(peer, batch) if batch.flags & frames.LINKED else ()
        if held is None:
            self._drop(peer, number, batch, links, Phrase("a channel"))
            return
        route, i = held
        if batch.headers is not None:
            self._take_requests(peer, number, batch, links, route, route.other(i))
            return
        i = route.other(i)
        side = route.sides[i]
        if side.ended is not None:
            if side.is_closed:
                side.dropped += batch.count
                self._drop(peer, number, batch, links, route.title)
                return
            if side.waits_for_successor and peer.says_late(number):
                self._notes.add(
                    "WARNING",
                    Phrase(
                        "{channel}: {count} messages came after process {name} had ended; they "
                        "wait until it is started again, and so do later ones",
                        channel=route.title,
                        count=batch.count,
                        name=side.process,
                    ),
                )
        if not side.count and not side.read:
            self._reminder.is_unread(route, i)
        side.add(batch, peer, number, links)
        if side.shared:
            self._reminder.look_at_held(side)

    def answer(self, peer: Peer, number: int, batch: Batch) -> bool:
        """Pass on answers; return whether `peer` had their requests. Under the lock."""
        held = peer.ends.get(number)
        if held is None:
            return True  # The end was closed in the meantime.
        requests = held[0].requests(held[1])
        return requests.answer(requests.holders[peer], batch)

    def answered(self, peer: Peer, number: int, numbers: Sequence[int]) -> bool:
        """Pass on answers that were held; return whether `peer` had them. Under the lock."""
        held = peer.ends.get(number)
        if held is None:
            return True
        requests = held[0].requests(held[1])
        return requests.release(requests.holders[peer], numbers)

    def answers(self, peer: Peer, number: int, window: int) -> None:
        """Learn that `peer` answers requests, `window` at a time. Under the lock."""
        held = peer.ends.get(number)
        if held is not None:
            requests = held[0].requests(held[1])
            requests.receives(requests.holders[peer], window, False)

    def cancel(self, peer: Peer, number: int, request: int, kill: bool) -> None:
        """Learn that nobody waits for the answer to a request of `peer`. Under the lock.

        With `kill`, the process of a pool that handles it is to be ended.
        """
        held = peer.ends.get(number)
        if held is not None:
            route, i = held
            route.requests(route.other(i)).cancel((peer, number), request, kill)

    def acknowledge(self, peer: Peer, number: int, ranges: Ranges, requests: bool = False) -> bool:
        """Forget messages that were handled; return whether `peer` had them. Under the lock."""
        held = peer.ends.get(number)
        if held is None:
            return True  # The end was closed in the meantime.
        route, i = held
        side = route.side_of(i, requests)
        whole = side.settle(side.holders[peer], ranges)
        self._look_at_end(route, i)
        return whole

    def begin(self, peer: Peer, number: int, ranges: Ranges, requests: bool = False) -> bool:
        """Note that `peer` begins messages; return whether it has them. Under the lock."""
        held = peer.ends.get(number)
        if held is None:
            return True
        side = held[0].side_of(held[1], requests)
        return side.begin(side.holders[peer], ranges)

    def receives(self, peer: Peer, number: int, window: int, asks: bool) -> None:
        """Learn that `peer` receives: with `receive` if `asks`, else with callbacks.

        The callbacks handle `window` messages at a time. Under the lock.
        """
        held = peer.ends.get(number)
        if held is None:
            return
        route, i = held
        side = route.sides[i]
        self._reminder.forget_unread(side)
        side.receives(side.holders[peer], window, asks)
        route.tell(i)

    def ask_for(self, peer: Peer, number: int, period: int, count: int) -> None:
        """Learn that `peer`, which shares its side, asks for `count` more. Under the lock."""
        held = peer.ends.get(number)
        if held is not None:
            route, i = held
            side = route.sides[i]
            side.ask_for(side.holders[peer], period, count)
            self._reminder.look_at_held(side)
            self._look_at_end(route, i)

    def give_back(
        self, peer: Peer, number: int, period: int, ranges: Ranges, requests: bool = False
    ) -> bool:
        """Take back messages that no receiver of `peer` took; return whether it had them.

        Under the lock.
        """
        held = peer.ends.get(number)
        if held is None:
            return True
        route, i = held
        side = route.side_of(i, requests)
        whole = side.take_back(side.holders[peer], period, ranges)
        self._reminder.look_at_held(side)
        self._look_at_end(route, i)
        return whole

    def close(self, peer: Peer, number: int) -> None:
        """Take back an end that was closed on purpose. Under the lock."""
        held = peer.ends.pop(number, None)
        if held is None:
            return
        route, i = held
        side = route.sides[i]
        side.drop_holder(peer, False, 0)
        self._drop_requests(route, i, peer, number)
        if route.is_queue:
            self._close_queue(route)
            if route.is_stand_in and i == 0:
                self._note_dropped(route, side.clear())
        elif side.holders:
            side.push()
            self._look_at_end(route, i)
        else:
            route.end_side(i, ChannelClosed, "it was closed by the other side")
            self._note_dropped(route, side.clear())
            self._release_name(route)
        self._forget_if_unused(route)

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
        """Learn that the side that `peer` holds for others has ended. Under the lock.

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
            self._drop_requests(route, i, peer, number)
            side.push()
            self._look_at_end(route, i)
        else:
            route.end_side(i, kind, why, lines)
            self._drop_requests(route, i, peer, number)
            self._note_dropped(route, side.clear())
            self._release_name(route)
        self._forget_if_unused(route)

    # ------------------------------------------------------------- queues between nodes

    def stand_in(
        self, peer: Peer, number: int, name: str, capacity: int, mine: Side, heard: Requests
    ) -> bool:
        """Have queue `name` be that of `peer`, another node, which calls it `number`.

        `mine` and `heard` are this node's side. If this node has such a queue, which no other node
        holds, its processes go on with that of `peer`. Returns False if the name is another's.
        Under the lock.
        """
        route = self._names.get(name)
        maker = peer.process or MAIN
        if route is None:
            route = self._make_queue_route(maker, name, capacity)
        elif not route.is_queue or route.is_stand_in or route.over or self._calls(name):
            return False
        else:
            self._count_less(route)
            self._made[maker] += 1
        route.stand_in(maker, mine, heard)
        for holder in mine.holders.values():
            holder.peer.ends[holder.number] = (route, 1)  # type: ignore[attr-defined]
        peer.ends[number] = (route, 0)
        route.hold(0, peer, number, True)
        self._name(name, route)
        route.sides[0].push()
        mine.share_anew(always=True)
        heard.share_anew(always=False)
        return True

    def send_on(self, peer: Peer, number: int) -> None:
        """Let `peer`, whose queue it is, have what was sent here and waits. Under the lock."""
        held = peer.ends.get(number)
        if held is not None:
            held[0].send_on()

    def hand_over(self, peer: Peer, number: int, to: Peer, new: int) -> None:
        """Have another node, `to`, hold what `peer` has held, and call it `new`. Under the lock."""
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
        self._count_less(route)
        route.maker = to.process or MAIN
        self._made[route.maker] += 1

    def gives_singly(self, peer: Peer, number: int) -> None:
        """Give `peer` each message of a queue alone, and only what it asks for. Under the lock."""
        route, i = peer.ends[number]
        side = route.sides[i]
        side.holders[peer].singly = True
        side.share_anew(always=True)

    def allow(self, peer: Peer, number: int, room: int, *, ready: bool) -> None:
        """Learn how many messages more `peer` asks for, all in all. Under the lock.

        It receives from now on, if it is `ready`.
        """
        held = peer.ends.get(number)
        if held is not None:
            route, i = held
            side = route.sides[i]
            if ready and not side.holders[peer].ready:
                self.receives(peer, number, PROMPT_WINDOW, True)
            side.allow(side.holders[peer], room)
            self._reminder.look_at_held(side)
            self._look_at_end(route, i)

    def put_back(self, peer: Peer, number: int, at: int, crashed: tuple[str, ...]) -> None:
        """Take back one message of a queue, after these crashes with it. Under the lock."""
        held = peer.ends.get(number)
        if held is not None:
            route, i = held
            side = route.sides[i]
            aside = side.put_back(side.holders[peer], at, crashed, self._max_redeliveries)
            if aside is not None:
                self._letters.set_aside(route, i, aside)
            self._look_at_end(route, i)

    def take_from(self, peer: Peer, number: int, crash: bool) -> None:
        """Take back all messages of a queue that `peer`, another node, was given. Under the lock.

        It receives no more until it says that it does.
        """
        held = peer.ends.get(number)
        if held is not None:
            route, i = held
            side = route.sides[i]
            for entry in side.drop_holder(peer, crash, self._max_redeliveries):
                self._letters.set_aside(route, i, entry)
            side.holders[peer] = Holder(peer, number, False)
            self.gives_singly(peer, number)
            side.push()
            self._look_at_end(route, i)

    def close_for_all(self, peer: Peer, number: int) -> None:
        """Learn that a process of another node has closed the queue. Under the lock."""
        held = peer.ends.get(number)
        if held is not None:
            self._close_queue(held[0])
            self._forget_if_unused(held[0])

    def come_back(self, peer: Peer, number: int) -> None:
        """Learn that such a side is no longer lost. Under the lock."""
        held = peer.ends.get(number)
        if held is not None:
            held[0].more_comes = False
            held[0].revive_side(held[1])

    def rests(self, peer: Peer, number: int, requests: bool = False) -> None:
        """Learn that `peer` receives no more, or answers no `requests`, until it says that it does.

        Under the lock.
        """
        held = peer.ends.get(number)
        if held is not None:
            side = held[0].side_of(held[1], requests)
            side.rests(side.holders[peer])

    def is_silent(self, peer: Peer, number: int, silent: bool) -> None:
        """Learn whether it is certain that nobody answers requests at `peer`, another node.

        Under the lock.
        """
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
            self._reminder.look_at_unanswered(route, i, self._peers)

    def refuse(
        self,
        peer: Peer,
        number: int,
        requests: Sequence[int],
        kind: type[ChannelError],
        why: str,
    ) -> None:
        """Learn that requests which `peer`, another node, was given are not answered.

        Under the lock.
        """
        held = peer.ends.get(number)
        if held is not None:
            side = held[0].requests(held[1])
            side.refuse(side.holders[peer], requests, kind, why)

    def take_requests_from(
        self, peer: Peer, number: int, kind: type[ChannelError], why: str
    ) -> None:
        """Learn that `peer`, another node, answers none of what it was given. Under the lock.

        Others may. If there are none, whoever has asked gets this error.
        """
        held = peer.ends.get(number)
        if held is None:
            return
        route, i = held
        requests = route.requests(i)
        requests.take_from(requests.holders[peer], kind, why)
        if requests.waiting:
            self._reminder.look_at_unanswered(route, i, self._peers)

    def leave(self, peer: Peer, number: int) -> None:
        """Take back an end whose last handle is gone. Under the lock.

        If it is the maker's end, the channel is closed. An end of the other side can be opened
        again by a peer to which the channel is sent.
        """
        held = peer.ends.get(number)
        if held is None:
            return
        route, i = held
        if i == 0 and not route.is_queue:
            self.close(peer, number)
            return
        del peer.ends[number]
        side = route.sides[i]
        side.drop_holder(peer, False, 0)
        side.push()
        self._drop_requests(route, i, peer, number)
        self._look_at_end(route, i)
        if route.is_queue:
            self._empty_queue(route)
        self._end_if_unreachable(route)
        self._forget_if_unused(route)

    def hold(self, peer: Peer, key: str) -> None:
        """Keep a channel that `peer` is about to send in a message. Under the lock.

        If `peer` has no end of the channel, nothing happens: it can't send that channel.
        """
        route = self._keys.get(key)
        if route is None or not any(peer in side.holders for side in route.sides):
            return
        route.links += 1
        peer.holds[key] += 1
        if peer in route.sides[0].holders:
            route.holds += 1
        if route.sides[1].process is None and not route.is_queue:
            route.revive_side(1)  # The receiver of that message can open it again.

    def detach(self, peer: ChildPeer) -> None:
        """Take back all ends of a child whose process has ended. Under the lock. Idempotent."""
        for peers in (self._peers, self._early):
            if peer in peers:
                peers.remove(peer)
        peer.detach()
        for number, (route, i) in peer.ends.items():
            side = route.sides[i]
            aside = side.drop_holder(peer, not peer.clean, self._max_redeliveries)
            aside += self._drop_requests(route, i, peer, number, crash=not peer.clean)
            for entry in aside:
                self._letters.set_aside(route, i, entry)
            side.lost.add(peer.process)
            side.push()
            self._look_at_end(route, i)
        peer.ends.clear()
        holds, peer.holds = peer.holds, Counter()
        for key, count in holds.items():
            route = self._keys[key]
            route.links -= count
            self._forget_if_unused(route)

    def names(self) -> dict[str, tuple[int, str]]:
        """Return the capacity and the key of every channel that has a name. Under the lock."""
        return {name: (route.capacity, route.shown_key) for name, route in self._names.items()}

    def number_of(self, peer: Peer, key: str) -> int | None:
        """Return the number by which `peer` still has the end that it would get by this key.

        None if it has none, or if the channel has a name. Under the lock.
        """
        route = self._keys.get(key)
        if route is None or route.name is not None:
            return None
        holder = route.sides[self._side_for(route, peer)].holders.get(peer)
        return None if holder is None else holder.number

    def find(self, name: str) -> tuple[int, str] | None:
        """Return the capacity and the key of the channel of that name. Under the lock."""
        route = self._names.get(name)
        return None if route is None else (route.capacity, route.shown_key)

    def serial_of(self, name: str) -> int:
        """Return which channel has that name now; 0 if none has. Under the lock."""
        route = self._names.get(name)
        return 0 if route is None else route.serial

    def made_by(self, process: str | None) -> int:
        """Return how many channels made by the child `process` exist. Under the lock."""
        return self._made[process or MAIN]

    def delivers(self, peer: Peer, batch: Batch) -> None:
        """Let `peer` open the channels that a message carries to it. Under the lock."""
        self.lend(peer, batch.carried())

    def lend(self, peer: Peer, keys: Iterable[str]) -> None:
        """Let `peer` open the channels of these keys. Under the lock."""
        for key in keys:
            if key in self._keys:
                self._brought.setdefault(key, set()).add(peer.prefix)

    # ------------------------------------------------------------- queues that a pool answers

    def add_pool(self, name: str, capacity: int, pool: Pool) -> None:
        """Make the queue `name`, which a pool of workers answers. Raises `ChannelExists`."""
        with self.lock:
            self._check_free(name)
            route = self._new_queue(MAIN, name, capacity)
            route.be_answered_by(Calls(pool, self._reminder.look_at_calls))
        self.pump()

    def answer_instead(self, name: str, asker: Asker, request: int, answer: Batch) -> None:
        """Answer a request to the queue `name` in place of a process that has ended."""
        with self.lock:
            calls = self._calls(name)
            if calls is not None:
                calls.answer_instead(asker, request, answer)
        self.pump()

    def refuse_queue(self, name: str, why: str | None) -> None:
        """Refuse all requests to the queue `name`; with None, take them again."""
        with self.lock:
            calls = self._calls(name)
            if calls is not None:
                calls.refusal = why
                if why is not None:
                    calls.refuse_all(ChannelBroken, why)
        self.pump()

    def _calls(self, name: str) -> Calls | None:
        route = self._names.get(name)
        calls = None if route is None else route.requests(0)
        return calls if isinstance(calls, Calls) else None

    # ------------------------------------------------------------- what users can look at

    def statistics(self) -> dict[str, dict[str, int]]:
        """Return the counts of each channel that has a name."""
        with self.lock:
            return {name: route.statistics() for name, route in self._names.items()}

    def backlogs(self) -> Counter[str]:
        """Return how many messages wait for each child, or were given to it and are not handled.

        What any of several processes may handle counts when one was given it.
        """
        counts: Counter[str] = Counter()
        with self.lock:
            for route in self._keys.values():
                route.count_by_process(counts)
        return counts

    def sent(self) -> Counter[str]:
        """Return how many messages ever came for each process, and under "" for all together.

        Those of a queue with several holders count for all alone. A channel that is forgotten
        counts no more.
        """
        counts: Counter[str] = Counter()
        with self.lock:
            for route in self._keys.values():
                route.count_sent(counts)
        return counts

    def ends(self, name: str) -> tuple[bool, list[Held]]:
        """Return whether the channel `name` is a queue, and its ends. Raises `KeyError`."""
        with self.lock:
            route = self._names[name]
            return route.is_queue, route.ends()

    def peek(self, name: str, unread: Unread[Passed]) -> None:
        """Add to `unread` what is given to holders of the channel `name`, until `unpeek`."""
        with self.lock:
            self._peeks.add(name, unread, self._keys.values())

    def unpeek(self, name: str, unread: Unread[Passed]) -> None:
        """Add nothing to it any more."""
        with self.lock:
            self._peeks.remove(name, unread, self._keys.values())

    def dead_letters(self) -> list[DeadLetter]:
        """Return the messages that are set aside, the oldest first."""
        return self._letters.kept()

    def observe_letters(self, observe: Callable[[DeadLetter], object]) -> None:
        """Have `observe` called with each message that is set aside. Under the lock."""
        self._letters.observe = observe

    # ------------------------------------------------------------- to the links and the log

    def queued(self, peer: ChildPeer) -> None:
        """Note that frames are queued for a child. Under the lock."""
        self._unsent.add(peer)

    def pump(self) -> None:
        """Send the frames that are queued for children; log the noted lines. From any thread."""
        while self._unsent:
            try:
                peer = self._unsent.pop()
            except KeyError:
                break
            peer.pump()
        if self._notes.lines:
            self._notes.write()

    def shut(self) -> None:
        """Log where messages wait and nobody has ever received. Idempotent."""
        self._reminder.close()
        with self.lock:
            for route in self._keys.values():
                for i in (0, 1):
                    self._reminder.note_unread(route, i)
        self.pump()

    # ------------------------------------------------------------- inside

    def _take_requests(
        self,
        peer: Peer,
        number: int,
        batch: Batch,
        links: tuple[Route, ...],
        route: Route,
        i: int,
    ) -> None:
        """Take requests to side `i` into custody, or refuse them."""
        side, headers, requests = route.sides[i], batch.headers, route.requests(i)
        ended, why = side.ended, side.why
        if ended is None and requests.refusal is not None:
            ended, why = ChannelBroken, requests.refusal
        if ended is not None and headers is not None and headers.request is not None:
            numbers = range(headers.request, headers.request + batch.count)
            peer.dropped(number, batch.count)
            peer.refused(number, numbers, ended, why)
            for link in links:
                link.unlink()
            return
        requests.add(batch, peer, number, links)
        if requests.waiting:
            self._reminder.look_at_unanswered(route, i, self._peers)
            if requests.shared:
                self._reminder.look_at_held(requests)

    def _drop_requests(
        self, route: Route, i: int, peer: Peer, number: int, *, crash: bool = False
    ) -> list[Entry]:
        """Take back the requests that `peer` had, and cancel those that it has made.

        Returns the requests that are set aside.
        """
        if not route.has_requests:
            return []
        requests = route.requests(i)
        aside = requests.drop_holder(peer, crash, self._max_redeliveries)
        requests.lost.add(peer.process)
        requests.push()
        route.requests(route.other(i)).forget_asker((peer, number))
        return aside

    def _make_queue(self, peer: Peer, key: str, capacity: int) -> Route | None:
        """Return a new queue, or None if a channel has its name."""
        name = key.removeprefix(QUEUE)
        if name in self._names:
            return None
        return self._new_queue(peer.process or MAIN, name, capacity)

    def _new_queue(self, maker: str, name: str, capacity: int) -> Route:
        route = self._make_queue_route(maker, name, capacity)
        self._name(name, route)
        return route

    def _make_queue_route(self, maker: str, name: str, capacity: int) -> Route:
        key = f"{QUEUE}{name}"
        self._last_serial += 1
        route = self._keys[key] = Route(
            *(key, capacity, maker, None, self._unlinked), serial=self._last_serial, is_queue=True
        )
        self._made[maker] += 1
        return route

    def _close_queue(self, route: Route) -> None:
        """Take no more messages for a queue. What it has is received, if anybody can."""
        side = route.sides[0]
        if route.is_stand_in and side.holders:
            for holder in list(side.holders.values()):  # The node that has it closes it for all.
                holder.peer.gone(holder.number, ChannelClosed, "it was closed", True, 0)
            return
        side.push()
        if side.ended is None:
            route.end_side(0, ChannelClosed, "it was closed")
        self._empty_queue(route)

    def _empty_queue(self, route: Route) -> None:
        """See what follows for a closed queue: a holder is gone, or messages have moved."""
        ended, why = route.sides[0].ended, route.sides[0].why
        side = route.sides[route.own]
        if ended is None:
            return
        given_by_another = route.is_stand_in and route.sides[0].holders  # It takes them back.
        if not (side.holders or side.lost or given_by_another):
            self._note_dropped(route, side.clear())
            route.requests(route.own).refuse_all(ended, why)
        self._release_name(route)

    def _lost_for_queue(
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
        self._empty_queue(route)
        self._forget_if_unused(route)

    def _revive(self, process: str | None) -> None:
        # Only the child's own two channels. It makes its other channels again itself.
        for route in self._names.values():
            side = route.sides[1]
            if side.process == process and not side.holders:
                route.revive_side(1)

    def _make(self, key: str, capacity: int, maker: str, other: str | None) -> Route:
        self._last_serial += 1
        route = self._keys[key] = Route(
            *(key, capacity, maker, other, self._unlinked), serial=self._last_serial
        )
        self._made[maker] += 1
        return route

    def _forget(self, route: Route) -> bool:
        """Remove the route's key; return whether the key led to this route."""
        if self._keys.get(route.key) is not route:
            return False
        del self._keys[route.key]
        route.forgotten = True
        self._brought.pop(route.key, None)
        for side in route.sides:
            self._reminder.forget_unread(side)
        self._count_less(route)
        return True

    def _count_less(self, route: Route) -> None:
        self._made[route.maker] -= 1
        if not self._made[route.maker]:
            del self._made[route.maker]

    def _may_open(self, peer: Peer, route: Route) -> bool:
        """Return whether a peer may know a key: by a name, from a message, or as the maker."""
        if peer.process is None or route.name is not None or route.key.startswith(peer.prefix):
            return True
        return peer.prefix in self._brought.get(route.key, ())

    def _side_for(self, route: Route, peer: Peer) -> int:
        if route.is_queue:
            return route.own
        process = peer.process or MAIN
        maker, other = route.sides
        if other.process is not None:  # One child's own channel: all other peers talk to it.
            return 1 if other.process == process else 0
        return 0 if maker.process == process and not maker.holders else 1

    def _can_go_on(self, peer: Peer, held: tuple[Route, int], taken: Route) -> bool:
        fresh, i = held
        mine, theirs = fresh.sides
        return (
            i == 0
            and fresh is not taken
            and taken.sides[0].process == peer.process
            and taken.sides[1].process is None
            and not taken.sides[0].holders
            and not (theirs.holders or mine.count or fresh.links)
            and not (fresh.has_requests and fresh.requests(0).count)
        )

    def _go_on(self, peer: Peer, number: int, fresh: Route, taken: Route) -> None:
        mine, theirs = taken.sides[0], taken.sides[1]
        peer.ends[number] = (taken, 0)
        taken.hold(0, peer, number, False)
        self._as_before(fresh.sides[0], mine, peer)
        if fresh.has_requests:
            self._as_before(fresh.requests(0), taken.requests(0), peer)
            for entry in fresh.requests(1).waiting:
                taken.requests(1).add(entry.batch, entry.source, entry.number, entry.links)
        mine.lost.clear()
        taken.holds = fresh.holds
        # The maker's end keeps its own capacity. Messages that carry the channel say that one.
        taken.capacity = max(taken.capacity, fresh.capacity)
        taken.revive_side(0)
        self._forget(fresh)
        for entry in fresh.sides[1].waiting:
            theirs.add(entry.batch, entry.source, entry.number, entry.links)
        mine.push()
        if taken.has_requests:
            taken.requests(0).push()
        taken.tell(0)

    def _as_before(self, fresh: Side, taken: Side, peer: Peer) -> None:
        """Have a holder receive on the side `taken` as it did on the side `fresh`."""
        old, holder = fresh.holders.pop(peer), taken.holders[peer]
        holder.ready, holder.window, holder.asks = old.ready, old.window, old.asks

    def _links_of(self, peer: Peer, batch: Batch) -> tuple[Route, ...]:
        found = []
        for key in batch.carried():
            if peer.holds[key] <= 0:
                continue  # The channel was closed before the message was sent.
            peer.holds[key] -= 1
            if not peer.holds[key]:
                del peer.holds[key]
            found.append(self._keys[key])
        return tuple(found)

    def _drop(
        self, peer: Peer, number: int, batch: Batch, links: tuple[Route, ...], title: Phrase
    ) -> None:
        """Drop messages that came too late."""
        if peer.says_late(number):
            self._notes.add(
                "WARNING",
                Phrase(
                    "{channel}: {count} messages came after the other side had closed and are "
                    "dropped; later ones are dropped too",
                    channel=title,
                    count=batch.count,
                ),
            )
        peer.dropped(number, batch.count)
        for route in links:
            route.unlink()

    def _unlinked(self, route: Route) -> None:
        self._end_if_unreachable(route)
        self._forget_if_unused(route)

    def _end_if_unreachable(self, route: Route) -> None:
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

    def _forget_if_unused(self, route: Route) -> None:
        if route.unused and self._forget(route):
            for side in route.sides:
                self._note_dropped(route, side.clear())

    def _note_dropped(self, route: Route, count: int) -> None:
        if count:
            self._notes.add(
                "WARNING",
                Phrase(
                    "{channel} has ended with {count} messages sent and not acknowledged",
                    channel=route.title,
                    count=count,
                ),
            )

    def _release_name(self, route: Route) -> None:
        """Free the channel's name, now or as soon as nobody needs the name to drain the channel.

        Without a name the channel is not over: messages that carry it can bring it to new holders.
        """
        if route.name is None:
            return
        route.over = True
        if route.is_queue:
            if route.sides[route.own].is_empty:
                self._remove_name(route)
        elif all(s.is_empty or s.ended is not None or s.process == MAIN for s in route.sides):
            self._remove_name(route)

    def _look_at_end(self, route: Route, i: int) -> None:
        """See what follows if the other side has ended: messages for side `i` have moved."""
        if route.sides[route.other(i)].ended is not None:
            route.tell_last(i)
            if route.over:
                self._release_name(route)

    def _check_free(self, name: str) -> None:
        route = self._names.get(name)
        if route is not None and route.maker.startswith(FAR):
            if self.yields is None or not self.yields(name):
                raise ChannelExists(
                    f"node {route.maker[len(FAR) :]} of the cluster has a channel named {name!r}; "
                    "take another name or close that one",
                    name,
                )
            route.end_side(0, ChannelBroken, "this node has the name now")
            self._remove_name(route)
        elif route is not None:
            raise ChannelExists(
                f"a channel named {name!r} exists already; take another name or close that one",
                name,
            )

    def _name(self, name: str, route: Route) -> None:
        route.name = route.called = name
        self._names[name] = route
        self._peeks.see_to(route)
        for peer in (*self._peers, *self._early):
            peer.renamed({name: (route.capacity, route.shown_key)}, [])

    def _remove_name(self, route: Route) -> None:
        name, route.name = route.name, None
        if name is not None and self._names.pop(name, None) is not None:
            for peer in (*self._peers, *self._early):
                peer.renamed({}, [name])
            if route.is_queue and not route.links:
                self._forget(route)  # Another queue may have its name now, and so its key.
            self._forget_if_unused(route)
