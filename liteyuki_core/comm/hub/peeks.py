"""Who peeks at the messages of a channel as they are given to its holders, and what they see.

It is for people who look at a bot. Whoever peeks is no holder: nothing changes for the messages,
and nothing waits. The caller of every function and method holds the hub's lock, except that any
thread may call the methods of a `Passed`, which is never changed.

Invariants.
- `Side.peek` is None unless somebody peeks at the name that its channel has, or had last. So where
  nobody peeks, a side pays for one comparison a batch, in `Side._give`, and nothing else knows of
  it.
- What is kept of messages has no buffers of theirs, which may be long and may be shared: texts,
  which nobody can change, and lengths. So nothing is rebuilt either.
- An `Unread` is bounded. Nobody is woken under the lock: who peeks looks into it now and then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from time import time
from typing import NamedTuple

from ...unread import Unread
from ..wire import frames
from ..wire.batch import Batch
from ..wire.payload import Long
from .route import Route
from .side import Entry, Holder

MOST_MESSAGES = 10_000
MOST_BYTES = 4 << 20
"""What is kept for one who peeks: so many messages, and so many bytes of texts."""


class Message(NamedTuple):
    """One message, as who peeks sees it. `form` is "text", "bytes" or "pickle"."""

    number: int
    size: int
    form: str
    text: str | None


class Passed(NamedTuple):
    """Messages that were given to a holder at once. The names are of processes; None: main."""

    time: float
    """In seconds since 1970."""
    direction: str
    """"out": from the side that has made the channel; "in": to it; "queue"."""
    request: bool
    put_back: bool
    """Whether it was put back by hand after it was set aside. Then nobody has sent it."""
    sender: str | None
    receiver: str | None
    redelivered: bool
    batch: Batch
    """The messages without buffers: only `text`, `lengths` and what is said of them."""
    form: str
    """Of the messages that are no text and have no length of their own."""
    size: int

    def messages(self) -> Iterator[Message]:
        """Return the messages one by one."""
        batch = self.batch
        if batch.text is not None:
            for number, text in enumerate(batch.payloads(), batch.first):
                size = len(text.encode("utf-8", "surrogatepass"))
                yield Message(number, size, "text", text)
        elif batch.flags & frames.LONG:
            yield Message(batch.first, self.size, self.form, None)
        else:
            for number, length in enumerate(batch.lengths, batch.first):
                form = "bytes" if length & frames.TOP else "pickle"
                yield Message(number, length & frames.LENGTH, form, None)


def _passed(direction: str, entry: Entry, holder: Holder) -> Passed:
    batch = entry.batch
    form = "pickle"
    if batch.flags & frames.LONG and Long(batch.buffers).is_bytes:
        form = "bytes"
    return Passed(
        time(),
        direction,
        batch.headers is not None,
        entry.source is None,
        None if entry.source is None else entry.source.process,
        holder.peer.process,
        bool(batch.flags & frames.REDELIVERED),
        Batch(batch.first, batch.count, (), batch.lengths, batch.text, batch.flags),
        form,
        batch.size,
    )


class Peeks:
    """Who peeks at which names."""

    def __init__(self) -> None:
        self._at: dict[str, list[Unread[Passed]]] = {}

    def add(self, name: str, unread: Unread[Passed], routes: Iterable[Route]) -> None:
        """Add to `unread` what is given to holders of channels that have this name."""
        self._at.setdefault(name, []).append(unread)
        self._see_to_all(name, routes)

    def remove(self, name: str, unread: Unread[Passed], routes: Iterable[Route]) -> None:
        """Add nothing to it any more."""
        self._at[name].remove(unread)
        if not self._at[name]:
            del self._at[name]
        self._see_to_all(name, routes)

    def see_to(self, route: Route) -> None:
        """Have a channel that has got a name show what it should."""
        readers = self._at.get(route.called)
        for i in (0, 1):
            direction = "queue" if route.is_queue else ("in", "out")[i]
            look = None if readers is None else partial(self._look, readers, direction)
            route.be_peeked_at(i, look)

    def _see_to_all(self, name: str, routes: Iterable[Route]) -> None:
        for route in routes:
            if route.called == name:
                self.see_to(route)

    def _look(
        self, readers: list[Unread[Passed]], direction: str, entry: Entry, holder: Holder
    ) -> None:
        passed = _passed(direction, entry, holder)
        size = passed.size if passed.batch.text is not None else 0
        for unread in readers:
            unread.add(passed, passed.batch.count, size)
