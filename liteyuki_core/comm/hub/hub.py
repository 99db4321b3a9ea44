"""The main process's switchboard: takes what peers send on channels, gives it to who holds them.

The hub knows its peers only by the protocol `Peer`. It treats all peers alike: the links to the
children and the main process's own context. `main.py` makes both. Which channels there are is in
its `Table`.

Ownership. The hub owns the table, the messages that are set aside, and the `Reminder` with its
thread. `shut` ends that thread.

Threads. Some docstrings say "Under the lock": the caller of that method holds `lock`, the lock of
the main process's context. Any thread may call the other methods, without the lock. Nothing here
waits, runs user code or looks into a message.

Invariant. `route.links` counts the messages under way that carry the channel, and the holds: a peer
asks for a hold before it sends a message that carries the channel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from ...errors import ChannelBroken, ChannelClosed, ChannelError, FrameError
from ...language import Phrase
from ...unread import Unread
from ..wire import frames
from ..wire.batch import Batch
from ..wire.words import QUEUE, Ranges
from .calls import Calls, Pool
from .letters import DeadLetter, Letters
from .notes import Notes
from .peeks import Passed, Peeks
from .reminder import Reminder
from .requests import Asker
from .route import ChildPeer, Held, Peer, Route
from .side import MAIN, Side
from .table import Table

_OWN_CAPACITY = 1024
"""Capacity of the two channels that every child has from its start."""


class Hub:
    """The switchboard: channels by name and by key, and the peers that hold them."""

    def __init__(self, lock: AbstractContextManager[Any], *, max_redeliveries: int = 3) -> None:
        self.lock = lock
        self.max_redeliveries = max_redeliveries
        self._unsent: set[ChildPeer] = set()
        self._notes = Notes()
        self.letters = Letters(lock, self._notes, self.pump)
        self.reminder = Reminder(lock, self._notes, self.pump)
        self._peeks = Peeks()
        self.table = Table(self._notes, self.reminder, self._peeks)
        self._last_key = 0

    # ------------------------------------------------------------- children

    def add_process(self, process: str) -> None:
        """Make the two channels of a child. Raises `ChannelExists`."""
        with self.lock:
            names = [f"{process}-active", f"{process}-passive"]
            for name in names:
                self.table.check_free(name)
            for name in names:
                self._last_key += 1
                route = self.table.make(f"hub.{self._last_key}", _OWN_CAPACITY, MAIN, process)
                self.table.give_name(name, route)
        self.pump()

    def attach(self, child: ChildPeer) -> None:
        """Take in a child whose process was just started; tell it the names. Under the lock."""
        if child in self.table.early:
            self.table.early.remove(child)
        else:
            child.renamed(self.table.names(), [])
        self.table.peers.append(child)
        self.table.revive(child.process)

    def announce(self, child: ChildPeer) -> None:
        """Tell the names to a process that is to be attached later. Under the lock."""
        self.table.early.append(child)
        child.renamed(self.table.names(), [])

    def process_comes(self, process: str) -> None:
        """Learn that a child that was gone is started again. Others can send to it from now on."""
        with self.lock:
            self.table.revive(process)
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
            for peer in list(self.table.peers):
                if peer.process == process:
                    self.detach(peer)
            for route in list(self.table.by_key.values()):
                if route.is_queue:
                    if for_good:
                        self.table.lost_for_queue(route, process, kind, why)
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
                            self.table.note_dropped(route, side.under_way)
                        if route.sides[0].ended is not None:
                            self.table.release_name(route)
                self.table.forget_if_unused(route)
        self.pump()

    # ------------------------------------------------------------- calls of peers, under the lock

    def open(self, peer: Peer, number: int, key: str | None, capacity: int) -> None:
        """Give `peer` an end of channel `key`, or of a new channel if None. Under the lock."""
        if number in peer.ends:
            raise FrameError(f"channel number {number} is open already")
        if key is None:
            key = f"{peer.prefix}{number}"
            route, i = self.table.make(key, capacity, peer.process or MAIN, None), 0
        else:
            found = self.table.by_key.get(key)
            if found is None and key.startswith(QUEUE):
                found = self._make_queue(peer, key.removeprefix(QUEUE), capacity)
            elif found is not None and not self.table.may_open(peer, found):
                found = None
            i = self.table.side_for(found, peer) if found is not None else 0
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
        taken = self.table.by_name.get(name)
        if taken is not None and self._can_go_on(peer, held, taken):
            self._go_on(peer, number, route, taken)
            return taken.key
        if taken is not None and taken.over:
            sides = [side for side in taken.sides if not side.holders]
            self.table.note_dropped(taken, sum(e.remaining for side in sides for e in side.waiting))
            self.table.remove_name(taken)
        self.table.check_free(name)
        if route.name is not None:
            self.table.remove_name(route)
        self.table.give_name(name, route)
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
            self.reminder.is_unread(route, i)
        side.add(batch, peer, number, links)
        if side.shared:
            self.reminder.look_at_held(side)

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
        self.table.look_at_end(route, i)
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
        self.reminder.forget_unread(side)
        side.receives(side.holders[peer], window, asks)
        route.tell(i)

    def ask_for(self, peer: Peer, number: int, period: int, count: int) -> None:
        """Learn that `peer`, which shares its side, asks for `count` more. Under the lock."""
        held = peer.ends.get(number)
        if held is not None:
            route, i = held
            side = route.sides[i]
            side.ask_for(side.holders[peer], period, count)
            self.reminder.look_at_held(side)
            self.table.look_at_end(route, i)

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
        self.reminder.look_at_held(side)
        self.table.look_at_end(route, i)
        return whole

    def close(self, peer: Peer, number: int) -> None:
        """Take back an end that was closed on purpose. Under the lock."""
        held = peer.ends.pop(number, None)
        if held is None:
            return
        route, i = held
        side = route.sides[i]
        side.drop_holder(peer, False, 0)
        route.drop_requests(i, peer, number)
        if route.is_queue:
            self.table.close_queue(route)
            if route.is_stand_in and i == 0:
                self.table.note_dropped(route, side.clear())
        elif side.holders:
            side.push()
            self.table.look_at_end(route, i)
        else:
            route.end_side(i, ChannelClosed, "it was closed by the other side")
            self.table.note_dropped(route, side.clear())
            self.table.release_name(route)
        self.table.forget_if_unused(route)

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
        route.drop_requests(i, peer, number)
        self.table.look_at_end(route, i)
        if route.is_queue:
            self.table.empty_queue(route)
        self.table.end_if_unreachable(route)
        self.table.forget_if_unused(route)

    def hold(self, peer: Peer, key: str) -> None:
        """Keep a channel that `peer` is about to send in a message. Under the lock.

        If `peer` has no end of the channel, nothing happens: it can't send that channel.
        """
        route = self.table.by_key.get(key)
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
        for peers in (self.table.peers, self.table.early):
            if peer in peers:
                peers.remove(peer)
        peer.detach()
        for number, (route, i) in peer.ends.items():
            side = route.sides[i]
            aside = side.drop_holder(peer, not peer.clean, self.max_redeliveries)
            aside += route.drop_requests(i, peer, number, not peer.clean, self.max_redeliveries)
            for entry in aside:
                self.letters.set_aside(route, i, entry)
            side.lost.add(peer.process)
            side.push()
            self.table.look_at_end(route, i)
        peer.ends.clear()
        holds, peer.holds = peer.holds, Counter()
        for key, count in holds.items():
            route = self.table.by_key[key]
            route.links -= count
            self.table.forget_if_unused(route)

    def delivers(self, peer: Peer, batch: Batch) -> None:
        """Let `peer` open the channels that a message carries to it. Under the lock."""
        self.table.lend(peer, batch.carried())

    # ------------------------------------------------------------- queues that a pool answers

    def add_pool(self, name: str, capacity: int, pool: Pool) -> None:
        """Make the queue `name`, which a pool of workers answers. Raises `ChannelExists`."""
        with self.lock:
            self.table.check_free(name)
            route = self.table.make_queue(MAIN, name, capacity)
            self.table.give_name(name, route)
            route.be_answered_by(Calls(pool, self.reminder.look_at_calls))
        self.pump()

    def answer_instead(self, name: str, asker: Asker, request: int, answer: Batch) -> None:
        """Answer a request to the queue `name` in place of a process that has ended."""
        with self.lock:
            calls = self.calls(name)
            if calls is not None:
                calls.answer_instead(asker, request, answer)
        self.pump()

    def refuse_queue(self, name: str, why: str | None) -> None:
        """Refuse all requests to the queue `name`; with None, take them again."""
        with self.lock:
            calls = self.calls(name)
            if calls is not None:
                calls.refusal = why
                if why is not None:
                    calls.refuse_all(ChannelBroken, why)
        self.pump()

    def calls(self, name: str) -> Calls | None:
        """Return the requests to a queue that a pool answers, else None. Under the lock."""
        route = self.table.by_name.get(name)
        calls = None if route is None else route.requests(0)
        return calls if isinstance(calls, Calls) else None

    # ------------------------------------------------------------- what users can look at

    def statistics(self) -> dict[str, dict[str, int]]:
        """Return the counts of each channel that has a name."""
        with self.lock:
            return {name: route.statistics() for name, route in self.table.by_name.items()}

    def backlogs(self) -> Counter[str]:
        """Return how many messages wait for each child, or were given to it and are not handled.

        What any of several processes may handle counts when one was given it.
        """
        counts: Counter[str] = Counter()
        with self.lock:
            for route in self.table.by_key.values():
                route.count_by_process(counts)
        return counts

    def sent(self) -> Counter[str]:
        """Return how many messages ever came for each process, and under "" for all together.

        Those of a queue with several holders count for all alone. A channel that is forgotten
        counts no more.
        """
        counts: Counter[str] = Counter()
        with self.lock:
            for route in self.table.by_key.values():
                route.count_sent(counts)
        return counts

    def ends(self, name: str) -> tuple[bool, list[Held]]:
        """Return whether the channel `name` is a queue, and its ends. Raises `KeyError`."""
        with self.lock:
            route = self.table.by_name[name]
            return route.is_queue, route.ends()

    def peek(self, name: str, unread: Unread[Passed]) -> None:
        """Add to `unread` what is given to holders of the channel `name`, until `unpeek`."""
        with self.lock:
            self._peeks.add(name, unread, self.table.by_key.values())

    def unpeek(self, name: str, unread: Unread[Passed]) -> None:
        """Add nothing to it any more."""
        with self.lock:
            self._peeks.remove(name, unread, self.table.by_key.values())

    def dead_letters(self) -> list[DeadLetter]:
        """Return the messages that are set aside, the oldest first."""
        return self.letters.kept()

    def observe_letters(self, observe: Callable[[DeadLetter], object]) -> None:
        """Have `observe` called with each message that is set aside. Under the lock."""
        self.letters.observe = observe

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
        self.reminder.close()
        with self.lock:
            for route in self.table.by_key.values():
                for i in (0, 1):
                    self.reminder.note_unread(route, i)
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
            self.reminder.look_at_unanswered(route, i, self.table.peers)
            if requests.shared:
                self.reminder.look_at_held(requests)

    def _make_queue(self, peer: Peer, name: str, capacity: int) -> Route | None:
        """Return a new queue, or None if a channel has its name."""
        if name in self.table.by_name:
            return None
        route = self.table.make_queue(peer.process or MAIN, name, capacity)
        self.table.give_name(name, route)
        return route

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
        self.table.forget(fresh)
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
            found.append(self.table.by_key[key])
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
