"""The main process's switchboard: channels by name and by key, and who holds them.

Peers are the links to child processes and the main process's own context; the hub treats them
alike. A channel has a key from its making on, given by whoever makes it, and may have a name.
Channels without one are reached by the messages that carry them; a channel that nobody has or
can get any more is forgotten. Methods whose docstring says so are called under `lock`, the lock
of the main process's context. Nothing here waits, runs user code or looks into a message.

Invariants: a key leads to its route as long as somebody holds it, it has a name, or a message
under way carries it; `route.links` counts those messages and the holds of peers for those they
are about to send; who is told that a side has ended holds the other.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from time import monotonic

from ... import log
from ...errors import ChannelBroken, ChannelClosed, ChannelError, ChannelExists, FrameError
from ..context import Context
from ..store.access import Access
from ..store.cells import Cells
from ..store.copies import Originals
from ..store.expiry import Expiry
from ..store.table import Store
from ..wire import frames, words
from ..wire.batch import Batch
from ..wire.endpoint import Endpoint
from .letters import DeadLetter
from .link_peer import LinkPeer
from .local_port import LocalPort
from .route import Entry, Holder, Peer, Ranges, Route, Side

MAIN = "\0main"
"""Stands for the main process among the owners of sides; no process can have this name."""

_UNREAD_SECONDS = 5.0
"""How long messages wait where nobody has ever received before a line says so."""
_MOST_SAID = 100
"""Warnings about channels in one second: a child that causes them is not to fill the log."""

_OWN_CAPACITY = 1024
"""Capacity of the two channels that every process has from its start."""


class Hub:
    """The switchboard. It owns the links to the children through their peers."""

    def __init__(
        self,
        context: Context,
        *,
        max_redeliveries: int = 3,
        store_path: str | None = None,
    ) -> None:
        self.lock = context.lock
        self.max_message_bytes = context.max_message_bytes
        self.letters: list[DeadLetter] = []
        self._max_redeliveries = max_redeliveries
        self.local = LocalPort(self, context)
        self._names: dict[str, Route] = {}
        self._keys: dict[str, Route] = {}
        self._made: Counter[str] = Counter()
        """How many channels there are by who made them."""
        self._brought: dict[str, set[str]] = {}
        """By key the prefixes of the peers that were given a message with that channel in it."""
        self._peers: list[LinkPeer] = []
        self._last_key = 0
        self._last_peer = 0
        self._unsent: set[LinkPeer] = set()
        self._notes: deque[tuple[str, str]] = deque()
        self._unread: dict[Side, tuple[float, Route, int]] = {}
        """Sides that have messages and where nobody has ever received, and since when."""
        self._held: list[Side] = []
        self._reminder = Expiry(self._look_again)
        self._second = self._said = 0
        """How many warnings there were in which second."""
        self.store = Store(self.lock, self.pump, store_path, _cells())
        originals = Originals(self.store.entries)
        context.connect(self.local, Access(context.site, self.local, originals))

    # ------------------------------------------------------------- processes

    def add_process(self, process: str) -> None:
        """Make the two channels of a process. Raises `ChannelExists`."""
        with self.lock:
            names = [f"{process}-active", f"{process}-passive"]
            for name in names:
                self._check_free(name)
            for name in names:
                self._last_key += 1
                route = self._make(f"hub.{self._last_key}", _OWN_CAPACITY, MAIN, process)
                self._name(name, route)
        self.pump()

    def connect(
        self,
        process: str,
        endpoint: Endpoint,
        on_end: Callable[[str | None], None],
        on_word: Callable[[words.OfProcess], None],
    ) -> LinkPeer:
        """Return the peer of a process that has just been started, reading."""
        with self.lock:
            self._last_peer += 1
            peer = LinkPeer(self, process, self._last_peer, endpoint, on_end, on_word)
            self._peers.append(peer)
            self._revive(process)
            peer.renamed(self.names(), [])
        peer.link.start()
        self.pump()
        return peer

    def process_comes(self, process: str) -> None:
        """Learn that a process that was gone is started again: it can be sent to."""
        with self.lock:
            self._revive(process)
        self.pump()

    def process_ended(
        self, process: str, kind: type[ChannelError], why: str, *, for_good: bool = True
    ) -> None:
        """Learn that a process is gone, and whether nobody will start it again.

        A successor finds the channels that have names, and those in messages that come to it.
        """
        with self.lock:
            for peer in list(self._peers):
                if peer.process == process:
                    self.detach(peer)
            for route in list(self._keys.values()):
                for i, side in enumerate(route.sides):
                    if side.holders or side.ended is not None:
                        continue
                    if side.process != process and (side.process or process not in side.lost):
                        continue
                    if for_good or (route.name is None and (i == 0 or not route.links)):
                        # The process's own channels are there again when it is.
                        own = i == 1 and side.process == process
                        route.end_side(i, kind, why, let_go=own)
                        if side.process == process:
                            self._note_dropped(route, side.under_way)
                        if route.sides[0].ended is not None:
                            self._release_name(route)
                self._forget_if_unused(route)
        self.pump()

    # ------------------------------------------------------------- what peers ask, under the lock

    def open(self, peer: Peer, number: int, key: str | None, capacity: int) -> None:
        """Give `peer` an end of the channel `key`, or, with None, of a new one. Under the lock."""
        if number in peer.ends:
            raise FrameError(f"channel number {number} is open already")
        if key is None:
            key = f"{peer.prefix}{number}"
            route, i = self._make(key, capacity, peer.process or MAIN, None), 0
        else:
            found = self._keys.get(key)
            if found is not None and not self._may_open(peer, found):
                found = None
            i = self._side_for(found, peer) if found is not None else 0
            over = found is not None and found.over and found.sides[i].ended is not None
            if found is None or over or peer in found.sides[i].holders:
                peer.gone(number, ChannelClosed, "it was closed", True, 0)
                return
            route = found
        peer.ends[number] = (route, i)
        side = route.sides[i]
        eager = peer.eager and side.process == peer.process
        side.holders[peer] = Holder(peer, number, eager)
        route.revive_side(i)
        side.push()
        route.tell(i)

    def register(self, peer: Peer, number: int, name: str) -> str | None:
        """Name the channel that `peer` holds as `number`; return its key from now on.

        The successor of a process that made and named a channel goes on with that one. Under
        the lock. Raises `ChannelExists`.
        """
        held = peer.ends.get(number)
        if held is None:
            return None  # Closed meanwhile.
        route, _ = held
        taken = self._names.get(name)
        if taken is not None and self._can_go_on(peer, held, taken):
            self._go_on(peer, number, route, taken)
            return taken.key
        if taken is not None and taken.over:
            sides = [side for side in taken.sides if not side.holders]
            self._note_dropped(taken, sum(e.left for side in sides for e in side.waiting))
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
        route, i = held or (None, 0)
        other = None if route is None else route.sides[1 - i]
        if route is None or other is None or (other.ended is ChannelClosed and not other.let_go):
            if peer.says_late(number):
                title = "a channel" if route is None else route.title
                self._note(
                    "WARNING",
                    f"{title}: {batch.count} messages came after the other side had closed and "
                    "are dropped, as are those that still come",
                )
            if route is not None:
                route.sides[1 - i].dropped += batch.count
            peer.dropped(number, batch.count)
            self._unlink(links)
            return
        side = other
        waits = side.ended is not None and side.let_go and side.process is not None
        if waits and peer.says_late(number):
            self._note(
                "WARNING",
                f"{route.title}: {batch.count} messages came after process {side.process} had "
                "ended; they wait for it to be started again, as do those that still come",
            )
        if not side.count and not side.read:
            self._unread[side] = monotonic(), route, 1 - i
            self._reminder.at(monotonic() + _UNREAD_SECONDS)
        side.add(batch, peer, number, links)
        if side.shared:
            self._look_at_held(side)

    def acknowledge(self, peer: Peer, number: int, ranges: Ranges) -> bool:
        """Let go of messages that were handled; return whether `peer` had them. Under the lock."""
        held = peer.ends.get(number)
        if held is None:
            return True  # Closed meanwhile.
        route, i = held
        side = route.sides[i]
        whole = side.settle(side.holders[peer], ranges)
        self._look_at_end(route, i)
        return whole

    def begin(self, peer: Peer, number: int, ranges: Ranges) -> bool:
        """Note that the handling of messages begins; return whether `peer` has them.

        Under the lock.
        """
        held = peer.ends.get(number)
        if held is None:
            return True
        side = held[0].sides[held[1]]
        return side.begin(side.holders[peer], ranges)

    def receives(self, peer: Peer, number: int, window: int, asks: bool) -> None:
        """Learn that `peer` receives, by asking or `window` messages at a time. Under the lock."""
        held = peer.ends.get(number)
        if held is None:
            return
        route, i = held
        side = route.sides[i]
        self._unread.pop(side, None)
        side.receives(side.holders[peer], window, asks)
        route.tell(i)

    def ask_for(self, peer: Peer, number: int, period: int, count: int) -> None:
        """Learn that `peer` asks for `count` messages more; others receive too. Under the lock."""
        held = peer.ends.get(number)
        if held is not None:
            route, i = held
            side = route.sides[i]
            side.ask_for(side.holders[peer], period, count)
            self._look_at_held(side)
            self._look_at_end(route, i)

    def give_back(self, peer: Peer, number: int, period: int, ranges: Ranges) -> bool:
        """Take back messages that nobody has taken at `peer`; return whether it had them.

        Under the lock.
        """
        held = peer.ends.get(number)
        if held is None:
            return True
        route, i = held
        side = route.sides[i]
        whole = side.take_back(side.holders[peer], period, ranges)
        self._look_at_held(side)
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
        if side.holders:
            side.push()
            self._look_at_end(route, i)
        else:
            route.end_side(i, ChannelClosed, "it was closed by the other side")
            self._note_dropped(route, side.clear())
            self._release_name(route)
        self._forget_if_unused(route)

    def leave(self, peer: Peer, number: int) -> None:
        """Take back an end that nobody has a handle on any more. Under the lock.

        The maker's is closed by that. The other side's may be held again by somebody who is sent
        the channel.
        """
        held = peer.ends.get(number)
        if held is None:
            return
        if held[1] == 0:
            self.close(peer, number)
            return
        del peer.ends[number]
        route = held[0]
        side = route.sides[1]
        side.drop_holder(peer, False, 0)
        side.push()
        self._look_at_end(route, 1)
        self._end_if_left(route)
        self._forget_if_unused(route)

    def hold(self, peer: Peer, key: str) -> None:
        """Keep a channel that `peer` is about to send a message with. Under the lock.

        One that it does not have it can't send.
        """
        route = self._keys.get(key)
        if route is None or not any(peer in side.holders for side in route.sides):
            return
        route.links += 1
        peer.holds[key] += 1
        if peer in route.sides[0].holders:
            route.holds += 1
        if route.sides[1].process is None:
            route.revive_side(1)  # Somebody may get it again.

    def detach(self, peer: LinkPeer) -> None:
        """Take back all ends of a peer whose link ended. Under the lock. Idempotent."""
        peer.detached = True
        if peer in self._peers:
            self._peers.remove(peer)
        self.store.drop(peer)
        for route, i in peer.ends.values():
            side = route.sides[i]
            aside = side.drop_holder(peer, not peer.clean, self._max_redeliveries)
            for entry in aside:
                self._set_aside(route, i, entry)
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
        """Return all names with their channels' capacities and keys. Under the lock."""
        return {name: (route.capacity, route.key) for name, route in self._names.items()}

    def find(self, name: str) -> tuple[int, str] | None:
        """Return the capacity and the key of the channel of that name. Under the lock."""
        route = self._names.get(name)
        return None if route is None else (route.capacity, route.key)

    def made_by(self, process: str | None) -> int:
        """Return how many channels there are that `process` has made. Under the lock."""
        return self._made[process or MAIN]

    def delivers(self, peer: LinkPeer, batch: Batch) -> None:
        """Let `peer` open the channels that a message brings it. Under the lock."""
        for key in batch.carried():
            if key in self._keys:
                self._brought.setdefault(key, set()).add(peer.prefix)

    # ------------------------------------------------------------- what can be looked at

    def statistics(self) -> dict[str, dict[str, int]]:
        """Return what is counted of each channel that has a name."""
        with self.lock:
            return {name: route.statistics() for name, route in self._names.items()}

    def dead_letters(self) -> list[DeadLetter]:
        """Return the messages that are set aside, the oldest first."""
        with self.lock:
            return list(self.letters)

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
            peer.pump()
        while self._notes:
            try:
                level, note = self._notes.popleft()
            except IndexError:
                break
            log.logger.log(level, note)

    def close_links(self, timeout: float) -> None:
        """End every link that is left."""
        self._reminder.close()
        with self.lock:
            for route in self._keys.values():
                for i in (0, 1):
                    self._note_unread(route, i)
        self.pump()
        for peer in list(self._peers):
            peer.link.close(timeout)

    def abandon(self) -> None:
        """Let go of all links in a forked copy of the process."""
        for peer in self._peers:
            peer.link.abandon()
        self.store.abandon()

    # ------------------------------------------------------------- inside

    def _revive(self, process: str) -> None:
        # Its own channels; others that it has made it makes again.
        for route in self._names.values():
            side = route.sides[1]
            if side.process == process and not side.holders:
                route.revive_side(1)

    def _make(self, key: str, capacity: int, maker: str, other: str | None) -> Route:
        route = self._keys[key] = Route(key, capacity, maker, other, self._unlink)
        self._made[maker] += 1
        return route

    def _forget(self, route: Route) -> bool:
        """Have its key lead nowhere; return whether it led to it."""
        if self._keys.get(route.key) is not route:
            return False
        del self._keys[route.key]
        self._brought.pop(route.key, None)
        for side in route.sides:
            self._unread.pop(side, None)
        maker = route.sides[0].process or MAIN
        self._made[maker] -= 1
        if not self._made[maker]:
            del self._made[maker]
        return True

    def _may_open(self, peer: Peer, route: Route) -> bool:
        """Return whether a peer has come by a key as it should: by a name or in a message."""
        if peer is self.local or route.name is not None or route.key.startswith(peer.prefix):
            return True
        return peer.prefix in self._brought.get(route.key, ())

    def _side_for(self, route: Route, peer: Peer) -> int:
        process = peer.process or MAIN
        maker, other = route.sides
        if other.process is not None:  # One process's own channel: all others talk to it.
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
        )

    def _go_on(self, peer: Peer, number: int, fresh: Route, taken: Route) -> None:
        mine, theirs = taken.sides[0], taken.sides[1]
        old = fresh.sides[0].holders.pop(peer)
        peer.ends[number] = (taken, 0)
        holder = mine.holders[peer] = Holder(peer, number, old.ready)
        holder.window, holder.asks = old.window, old.asks
        mine.lost.clear()
        taken.holds = fresh.holds
        # What it makes of its own capacity it has been told already, and tells whom it is sent to.
        taken.capacity = max(taken.capacity, fresh.capacity)
        taken.revive_side(0)
        self._forget(fresh)
        for entry in fresh.sides[1].waiting:
            theirs.add(entry.batch, entry.source, entry.number, entry.links)
        mine.push()
        taken.tell(0)

    def _links_of(self, peer: Peer, batch: Batch) -> tuple[Route, ...]:
        found = []
        for key in batch.carried():
            if peer.holds[key] <= 0:
                continue  # It was closed before the message was sent.
            peer.holds[key] -= 1
            if not peer.holds[key]:
                del peer.holds[key]
            found.append(self._keys[key])
        return tuple(found)

    def _unlink(self, links: tuple[Route, ...]) -> None:
        for route in links:
            route.links -= 1
            self._end_if_left(route)
            self._forget_if_unused(route)

    def _end_if_left(self, route: Route) -> None:
        """Tell the maker of a channel without a name that nobody else has it or can get it."""
        side = route.sides[1]
        if route.links or route.name is not None or side.holders or side.ended is not None:
            return
        if side.lost:
            lost = ", ".join(sorted(str(process) for process in side.lost))
            why = f"process {lost}, which had it, died and left nobody to go on"
            route.end_side(1, ChannelBroken, why, let_go=True)
        else:
            route.end_side(1, ChannelClosed, "whoever it was sent to has let go of it", let_go=True)

    def _forget_if_unused(self, route: Route) -> None:
        if route.unused and self._forget(route):
            for side in route.sides:
                self._note_dropped(route, side.clear())

    def _set_aside(self, route: Route, i: int, entry: Entry) -> None:
        name = route.name or "(unnamed)"
        crashes = len(entry.crashed)
        processes = ", ".join(dict.fromkeys(entry.crashed))

        def settle(letter: DeadLetter, again: bool) -> bool:
            with self.lock:
                if letter not in self.letters:
                    return False
                if again:
                    gone = self._keys.get(route.key) is not route
                    if gone or route.sides[i].ended is ChannelClosed:
                        return False
                    route.sides[i].add(entry.batch, None, 0, entry.links)
                else:
                    self._unlink(entry.links)
                self.letters.remove(letter)
            self.pump()
            return True

        letter = DeadLetter(name, processes, crashes, entry.batch, settle)
        self.letters.append(letter)
        self._note(
            "ERROR",
            f"{route.title}: a message of {letter.size} bytes was being handled in "
            f"{crashes} crashes of process {processes} in a row and is set aside; "
            "bot.dead_letters() has it, to be put back or discarded",
        )

    def _look_at_held(self, side: Side) -> None:
        if side.waiting and side.is_held and side not in self._held:
            self._held.append(side)
            self._reminder.at(side.held_until)

    def _look_again(self) -> float | None:
        """See to what has waited for some time; return when to look again."""
        with self.lock:
            held, self._held = self._held, []
            for side in held:
                side.push()
                self._look_at_held(side)
        return self._look_at_unread()

    def _look_at_unread(self) -> float | None:
        """Say where messages wait and nobody has ever received; return when to look again."""
        with self.lock:
            now = monotonic()
            unread, self._unread = self._unread, {}
            for side, (since, route, i) in unread.items():
                begun = [holder.peer.serves_since for holder in side.holders.values()]
                if side.read or side.is_empty or self._keys.get(route.key) is not route:
                    continue
                # A process that has yet to start, or starts, is not late.
                waits = side.process not in (None, MAIN) and not begun
                if waits or max([since, *begun]) > now - _UNREAD_SECONDS:
                    self._unread[side] = since, route, i
                else:
                    self._note_unread(route, i)
            again = bool(self._unread)
        self.pump()
        return now + _UNREAD_SECONDS if again else None

    def _note_unread(self, route: Route, i: int) -> None:
        side = route.sides[i]
        if side.read or side.is_empty or side.ended is not None:
            return
        entries = (*side.waiting, *side.sent.values())
        senders = {e.source.process or "the main process" for e in entries if e.source is not None}
        where = {None: "wherever it is got", MAIN: "in the main process"}.get(
            side.process, f"in process {side.process}"
        )
        self._note(
            "WARNING",
            f"{route.title}: {side.under_way} messages wait {where}, where nobody receives; they "
            f"were sent by {', '.join(sorted(senders))}. What others send on a channel goes to "
            "whoever made it: receive there, or send on a channel that is read",
        )

    def _note(self, level: str, text: str) -> None:
        if level == "WARNING":
            second = int(monotonic())
            if second != self._second:
                self._second, self._said = second, 0
            self._said += 1
            if self._said > _MOST_SAID + 1:
                return
            if self._said > _MOST_SAID:
                text = "more lines about channels in this second are left out"
        self._notes.append((level, text))

    def _note_dropped(self, route: Route, count: int) -> None:
        if count:
            self._note(
                "WARNING",
                f"{route.title} has ended with {count} messages sent and not acknowledged",
            )

    def _release_name(self, route: Route) -> None:
        """Give a name free, as soon as nothing is under way to whoever gets the channel by it."""
        route.over = True
        if all(s.is_empty or s.ended is not None or s.process == MAIN for s in route.sides):
            self._remove_name(route)

    def _look_at_end(self, route: Route, i: int) -> None:
        """See what follows for an ending channel, now that messages to side `i` have moved."""
        if route.sides[1 - i].ended is not None:
            route.tell_last(i)
            if route.over:
                self._release_name(route)

    def _check_free(self, name: str) -> None:
        if name in self._names:
            raise ChannelExists(
                f"a channel named {name!r} exists already; take another name or close that one",
                name,
            )

    def _name(self, name: str, route: Route) -> None:
        route.name = route.called = name
        self._names[name] = route
        for peer in self._peers:
            peer.renamed({name: (route.capacity, route.key)}, [])

    def _remove_name(self, route: Route) -> None:
        name, route.name = route.name, None
        if name is not None and self._names.pop(name, None) is not None:
            for peer in self._peers:
                peer.renamed({}, [name])
            self._forget_if_unused(route)


def _cells() -> Cells | None:
    try:
        return Cells()
    except OSError as error:
        log.logger.warning(f"children ask for every value of shared_memory: {error}")
        return None
