"""One channel as the hub sees it, and who holds its ends: the protocol `Peer`.

A route is the two sides of one channel; custody of the messages is each side's, see `side.py`.
Nothing here knows links or names, waits or runs user code. All under the hub's lock.

Invariants: `links` counts the messages under way that carry the channel and what peers hold for
those that they are about to send; a route that is forgotten never comes back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

from ...errors import ChannelError
from .side import Holder, Recipient, Side


class Peer(Recipient, Protocol):
    """Whoever holds ends: a child's link or the main process's context.

    `prefix` starts the keys of the channels it makes, `eager` says that it takes messages of its
    own channels before it receives, `holds` counts by key the channels that it is about to send
    messages with. All methods are called under the lock.
    """

    prefix: str
    ends: dict[int, tuple[Route, int]]
    eager: bool
    holds: Counter[str]

    def says_late(self, number: int) -> bool:
        """Return whether the log is to say that messages of this end came too late."""


class Child(Peer, Protocol):
    """A child process, which comes and ends. `clean` says that its end is no crash."""

    clean: bool

    def renamed(self, add: Mapping[str, tuple[int, str]], remove: list[str]) -> None:
        """Say which names, with their channels' capacities and keys, came and went."""

    def detach(self) -> None:
        """Learn that the hub has taken back its ends and deals with it no more. Idempotent."""

    def pump(self) -> None:
        """Get moving what is queued for it. Not under the lock; never waits."""


class Route:
    """One channel: two sides, that of whoever made it and the other.

    `on_unlinked` is called, under the lock, when one message less that carries it is under way.
    """

    def __init__(
        self,
        key: str,
        capacity: int,
        maker: str,
        other: str | None,
        on_unlinked: Callable[[Route], None],
    ) -> None:
        self.key = key
        self.name: str | None = None
        self.called = "(unnamed)"
        """The name it has or had, for the log."""
        self.capacity = capacity
        self.sides = (Side(maker), Side(other))
        self._on_unlinked = on_unlinked
        self.links = 0
        """How many messages under way carry this channel."""
        self.holds = 0
        """How many messages its maker has sent, or is about to, that carry it."""
        self.over = False
        """Whether its name is given free as soon as nobody has to drain it any more."""
        self.forgotten = False
        """Whether its key leads nowhere any more."""

    @property
    def title(self) -> str:
        """What it is called in the log."""
        return f"channel {self.called}"

    @property
    def unused(self) -> bool:
        """Whether nobody has it or can get it any more."""
        return (
            self.name is None
            and not self.links
            and not self.sides[0].holders
            and not self.sides[1].holders
        )

    def unlink(self) -> None:
        """Learn that one message less that carries it is under way."""
        self.links -= 1
        self._on_unlinked(self)

    def tell(self, i: int) -> None:
        """Tell the holders of side `i` how the other side is."""
        for holder in self.sides[i].holders.values():
            self._tell(i, holder, self._is_last(i, holder))

    def tell_last(self, i: int) -> None:
        """Tell those holders of side `i` for whom that has changed whether a message may come."""
        for holder in self.sides[i].holders.values():
            last = self._is_last(i, holder)
            if last is not holder.told_last:
                self._tell(i, holder, last)

    def _tell(self, i: int, holder: Holder, last: bool) -> None:
        other = self.sides[1 - i]
        holder.told_last = last and other.ended is not None
        holder.peer.gone(holder.number, other.ended, other.why, last, self.holds)

    def _is_last(self, i: int, holder: Holder) -> bool:
        # What another holder has not handled may still come to this one.
        side = self.sides[i]
        given = sum(each.outstanding for each in side.holders.values())
        return not side.waiting and given == holder.outstanding

    def end_side(self, i: int, kind: type[ChannelError], why: str, *, let_go: bool = False) -> None:
        """Say that nobody holds side `i` any more and nobody will, or may, if it was `let_go`.

        What was sent before its senders could know is then kept.
        """
        side = self.sides[i]
        side.ended, side.why, side.let_go = kind, why, let_go
        side.lost.clear()
        self.tell(1 - i)

    def revive_side(self, i: int) -> None:
        """Take that back."""
        side = self.sides[i]
        if side.ended is not None:
            side.ended = None
            self.over = False
            self.tell(1 - i)

    def statistics(self) -> dict[str, int]:
        """Return what both directions together have counted."""
        sides = self.sides
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
