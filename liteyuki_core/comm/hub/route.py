"""One channel as the hub sees it, and the peers that hold its ends: the protocol `Peer`.

A route is the two sides of one channel. Each side has custody of its messages, see `side.py`. Once
the channel is used for requests, each side also has custody of its requests, see `requests.py`.
Nothing here knows links or names, waits or runs user code. The caller of every method holds the
hub's lock, except for `ChildPeer.pump`.

Invariants.
- `links` counts the messages under way that carry the channel, and the holds of peers for messages
  that they are about to send.
- A route that is forgotten never comes back.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from ...errors import ChannelError
from ...language import Phrase
from ..wire.words import FAR
from .requests import Requests
from .side import MAIN, Entry, Holder, Recipient, Side


class Peer(Recipient, Protocol):
    """A holder of ends: a child's link or the main process's context.

    `prefix` begins the keys of the channels that the peer makes. `ends` has the route and the side
    of each end, by the peer's number for it. `eager` says that the peer takes messages of its own
    channels before it receives. `holds` counts, by key, the channels that the peer is about to send
    in messages. All methods are called under the lock.
    """

    prefix: str
    ends: dict[int, tuple[Route, int]]
    eager: bool
    holds: Counter[str]

    def says_late(self, number: int) -> bool:
        """Return whether the log should say that messages of this end came too late."""


class ChildPeer(Peer, Protocol):
    """The link to one process of a child. `clean` says that the end of the process is no crash."""

    clean: bool

    def renamed(self, add: Mapping[str, tuple[int, str]], remove: list[str]) -> None:
        """Tell the child which names were added, with capacity and key, and which were removed."""

    def detach(self) -> None:
        """Learn that the hub has taken back this peer's ends and forgets the peer. Idempotent."""

    def pump(self) -> None:
        """Send the frames that are queued for the child. Not under the lock; never waits."""


class Held(NamedTuple):
    """One end of a channel. `process` is a child's name or `MAIN`, None where nobody holds it."""

    process: str | None
    side: int
    receives: bool
    held: int
    """How many messages and requests it was given and has not handled."""
    waiting: int
    """How many wait for its side."""


class Route:
    """One channel: side 0 is the maker's, side 1 the other.

    A queue has side 0 only: all peers hold it, and what any of them sends goes to it. A queue that
    another node of a cluster has is a stand-in here: that node holds side 0, and all other peers
    hold side 1.
    `on_unlinked` is called, under the lock, when a message that carried the channel is no longer
    under way.
    """

    def __init__(
        self,
        key: str,
        capacity: int,
        maker: str,
        other: str | None,
        on_unlinked: Callable[[Route], None],
        *,
        serial: int = 0,
        is_queue: bool = False,
    ) -> None:
        self.key = key
        self.serial = serial
        """Tells it from another channel that has, or had, the same name."""
        self.maker = maker
        self.is_queue = is_queue
        self.is_stand_in = False
        self.name: str | None = None
        self.called = "(unnamed)"
        """The name it has or had, for the log."""
        self.capacity = capacity
        self.sides = (Side(None if is_queue else maker), Side(other))
        self._requests: tuple[Requests, Requests] | None = None
        """The requests to each side, once there were any or a peer has said that it answers."""
        self._on_unlinked = on_unlinked
        self.links = 0
        """How many messages under way, or about to be sent, carry this channel."""
        self.holds = 0
        """How many messages that carry this channel its maker has sent or is about to send."""
        self.over = False
        """Whether the name is to be freed as soon as nobody needs it to drain the channel."""
        self.more_comes = False
        """Whether messages are still on their way from another node, whose side has ended."""
        self.forgotten = False
        """Whether the hub has forgotten this route: its key leads to nothing."""

    def requests(self, i: int) -> Requests:
        """Return the requests to side `i`."""
        if self._requests is None:
            self._requests = (
                Requests(self.sides[0].process, self.is_queue),
                Requests(self.sides[1].process),
            )
            for side, requests in zip(self.sides, self._requests, strict=True):
                requests.peek = side.peek
                for peer, holder in side.holders.items():
                    requests.holders[peer] = Holder(peer, holder.number, False)
        return self._requests[i]

    def be_answered_by(self, requests: Requests) -> None:
        """Have requests of this kind, before there are any. Only for a queue."""
        assert self.is_queue
        assert self._requests is None
        self._requests = (requests, Requests(None))
        requests.peek = self.sides[0].peek
        for peer, holder in self.sides[0].holders.items():
            requests.holders[peer] = Holder(peer, holder.number, False)

    def be_listened_to(self, side: Side, requests: Requests) -> None:
        """Have this side 1, before anybody holds it: it tells more than others."""
        assert self._requests is None
        self.sides = (self.sides[0], side)
        mine = Requests(self.sides[0].process)
        self._requests = (mine, requests)
        for each, of in ((self.sides[0], mine), (side, requests)):
            of.peek = each.peek
            for peer, holder in each.holders.items():
                of.holders[peer] = Holder(peer, holder.number, False)

    def stand_in(self, maker: str, mine: Side, heard: Requests) -> None:
        """Be a queue that `maker`, another node, has. Nobody holds side 0 yet.

        The peers go on with `mine` and `heard`. What waits for them is for the other node now, but
        for what has come from nodes: that one has it from them.
        """
        assert self.is_queue
        theirs, asked = Side(maker), Requests(maker)
        for before, now in ((self.sides[0], mine), (self.requests(0), heard)):
            now.go_on(before)
            now.waiting = deque(entry for entry in now.waiting if not _is_from_node(entry))
        self.maker, self.is_stand_in = maker, True
        self.sides, self._requests = (theirs, mine), (asked, heard)
        self.send_on()

    def send_on(self) -> None:
        """Have the other node have what waits here and was sent here, if nobody here takes it."""
        for of_requests in (False, True):
            mine, theirs = self.side_of(1, of_requests), self.side_of(0, of_requests)
            if all(map(_is_from_node, mine.waiting)) or mine.is_held:
                continue
            for entry in mine.take_waiting(_is_from_node):
                theirs.add(entry.batch, entry.source, entry.number, entry.links)

    def be_peeked_at(self, i: int, peek: Callable[[Entry, Holder], object] | None) -> None:
        """Have `peek` see what is given to the holders of side `i`; None: nobody peeks."""
        self.sides[i].peek = peek
        if self._requests is not None:
            self._requests[i].peek = peek

    @property
    def has_requests(self) -> bool:
        """Whether the channel was ever used for requests."""
        return self._requests is not None

    def side_of(self, i: int, requests: bool) -> Side:
        """Return what has custody of messages to side `i`, or of `requests` to it."""
        return self.requests(i) if requests else self.sides[i]

    def other(self, i: int) -> int:
        """Return the side to which goes what is sent from side `i`."""
        return 0 if self.is_queue and not self.is_stand_in else 1 - i

    @property
    def own(self) -> int:
        """The side of a queue that this node's processes hold."""
        return int(self.is_stand_in)

    @property
    def shown_key(self) -> str:
        """The key as whoever is told of the channel's name learns it."""
        return f"{FAR}{self.key}" if self.is_stand_in else self.key

    def hold(self, i: int, peer: Peer, number: int, ready: bool) -> None:
        """Make `peer` a holder of side `i`, which calls its end `number`."""
        self.sides[i].holders[peer] = Holder(peer, number, ready)
        if self._requests is not None:
            self._requests[i].holders[peer] = Holder(peer, number, False)

    def drop_requests(
        self, i: int, peer: Peer, number: int, crash: bool = False, max_redeliveries: int = 0
    ) -> list[Entry]:
        """Take back the requests that `peer` had, and cancel those that it has made.

        Returns the requests that are set aside, after a crash.
        """
        if self._requests is None:
            return []
        requests = self._requests[i]
        aside = requests.drop_holder(peer, crash, max_redeliveries)
        requests.lost.add(peer.process)
        requests.push()
        self.requests(self.other(i)).forget_asker((peer, number))
        return aside

    @property
    def title(self) -> Phrase:
        """How the log names the channel."""
        if self.is_queue:
            return Phrase("queue {name}", name=self.called)
        return Phrase("channel {name}", name=self.called)

    @property
    def unused(self) -> bool:
        """Whether no peer has the channel and no peer can get it any more."""
        return (
            self.name is None
            and not self.links
            and not self.sides[0].holders
            and not self.sides[1].holders
        )

    def unlink(self) -> None:
        """Learn that a message that carried the channel is no longer under way."""
        self.links -= 1
        self._on_unlinked(self)

    def tell(self, i: int) -> None:
        """Tell the holders of side `i` whether the other side has ended."""
        for holder in self.sides[i].holders.values():
            self._tell(i, holder, self._is_last(i, holder))

    def tell_last(self, i: int) -> None:
        """Tell holders of side `i` whether messages may still come, where that has changed."""
        for holder in self.sides[i].holders.values():
            last = self._is_last(i, holder)
            if last is not holder.told_last:
                self._tell(i, holder, last)

    def _tell(self, i: int, holder: Holder, last: bool) -> None:
        other = self.sides[self.other(i)]
        holder.told_last = last and other.ended is not None
        holder.peer.gone(holder.number, other.ended, other.why, last, self.holds, other.lines)

    def _is_last(self, i: int, holder: Holder) -> bool:
        # A message that another holder was given and does not handle may still come to this one.
        side = self.sides[i]
        given = sum(each.outstanding for each in side.holders.values())
        return not side.waiting and given == holder.outstanding and not self.more_comes

    def end_side(
        self,
        i: int,
        kind: type[ChannelError],
        why: str,
        lines: tuple[str, ...] = (),
        *,
        let_go: bool = False,
    ) -> None:
        """End side `i`: no peer holds it, and none will. `lines` are the last ones of who had it.

        If `let_go`, a peer may still get it again, and messages that still come for it are kept:
        they were sent before the senders could know.
        """
        side = self.sides[i]
        side.ended, side.why, side.lines, side.let_go = kind, why, lines, let_go
        if not self.is_queue:
            side.lost.clear()
        if self._requests is not None and not (self.is_queue and side.holders):
            self._requests[i].refuse_all(kind, why)
        self.tell(self.other(i))

    def revive_side(self, i: int) -> None:
        """Undo `end_side`."""
        side = self.sides[i]
        if side.ended is not None:
            side.ended = None
            self.over = False
            self.tell(1 - i)

    def count_by_process(self, counts: Counter[str]) -> None:
        """Add how many messages and requests wait for each process."""
        for side in (*self.sides, *(self._requests or ())):
            side.count_by_process(counts)

    def count_sent(self, counts: Counter[str]) -> None:
        """Add how many messages and requests ever came for each process, and for all under ""."""
        for side in (*self.sides, *(self._requests or ())):
            side.count_sent(counts)
            counts[""] += side.count

    def ends(self) -> list[Held]:
        """Return who holds an end, and which sides nobody holds where messages wait."""
        found = []
        sides = self.sides[:1] if self.is_queue and not self.is_stand_in else self.sides
        for i, side in enumerate(sides):
            requests = None if self._requests is None else self._requests[i]
            waiting = sum(
                entry.remaining for each in (side, requests) if each for entry in each.waiting
            )
            for peer, holder in side.holders.items():
                asked = None if requests is None else requests.holders.get(peer)
                receives = holder.ready or (asked is not None and asked.ready)
                held = holder.outstanding + (0 if asked is None else asked.outstanding)
                found.append(Held(peer.process or MAIN, i, receives, held, waiting))
            if not side.holders and (waiting or side.process is not None):
                found.append(Held(side.process, i, False, 0, waiting))
        return found

    def statistics(self) -> dict[str, int]:
        """Return the counts of both directions together."""
        sides = (*self.sides, *(self._requests or ()))
        under_way = sum(side.under_way for side in sides)
        sent = sum(side.count for side in sides)
        dropped = sum(side.dropped for side in sides)
        return {
            "sent": sent,
            "acknowledged": sent - dropped - under_way,
            "redelivered": sum(side.redelivered for side in sides),
            "dropped": dropped,
            "backlog": under_way,
            "capacity": self.capacity,
            "bytes": sum(side.bytes for side in sides),
        }


def _is_from_node(entry: Entry) -> bool:
    return entry.source is not None and (entry.source.process or "").startswith(FAR)
