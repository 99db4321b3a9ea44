"""Kills of a child at a certain moment of a message, without anything in the child.

The main process sees each frame of a child: that the handling of a message begins, and that it has
ended. An armed `Kill` stands before the methods of the child's `LinkPeer` that take these frames,
and kills the process there. It is the peer of one process: nothing of this is in any other bot.

"handling": the child has said that it begins a message. Messages are given out PROMPT, as after a
crash, so that it says so. "before_ack": it has said that it has handled one, or has answered a
request. That is the last thing it says of a message, after all that it has sent while it handled
it, and here it is not believed. In both cases nothing that the process says from then on counts,
as if it had died before: so the message is unhandled, for certain, and goes to the successor.

Only messages count that are given out after the kill was armed. Of those before, nobody knows
whether the process is still at them, or whether their acknowledgement is just on its way.

Threads. `arm` is called by the test. All else is called where the child's link is read, under the
hub's lock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from ..comm.hub.link_peer import LinkPeer
from ..comm.wire import frames
from ..comm.wire.batch import Batch
from ..comm.wire.words import Ranges
from ..process.life import Life

Moment = Literal["handling", "before_ack"]


class Kill:
    """A kill of one process that is to come."""

    def __init__(self, life: Life, at: Moment) -> None:
        self.process = life.name
        self.at = at
        self.pid = life.pid
        self.happened = False
        self._life = life
        self._peer: Any = life.peer
        self._given: set[tuple[int, bool, int]] = set()
        """What was given since: the number of the end, whether it is a request, its own number."""

    def arm(self) -> None:
        """Kill the process at the next message that it is given."""
        peer: LinkPeer = self._peer
        with peer._hub.lock:
            self._stand_before("deliver", self._deliver)
            self._stand_before("_on_handled", self._on_handled)
            self._stand_before("_on_answers", self._on_answers)

    def _stand_before(self, name: str, method: Callable[..., object]) -> None:
        original = getattr(self._peer, name)
        setattr(self._peer, name, lambda *args: method(original, *args))

    def _deliver(self, original: Any, number: int, batch: Batch) -> None:
        requests = batch.headers is not None and batch.headers.request is not None
        for at in range(batch.first, batch.first + batch.count):
            self._given.add((number, requests, at))
        original(number, batch.having(batch.first, frames.PROMPT))

    def _on_handled(self, original: Any, number: int, ranges: Ranges, flags: int) -> None:
        requests = bool(flags & frames.OF_REQUESTS)
        numbers = [at for first, count in ranges for at in range(first, first + count)]
        others = [(at, 1) for at in numbers if (number, requests, at) not in self._given]
        has_begun = bool(flags & frames.BEGUN)
        if len(others) == len(numbers) or (self.at == "before_ack") is has_begun:
            original(number, ranges, flags)
            return
        if has_begun:
            original(number, ranges, flags)
        elif others:
            original(number, others, flags)
        self._kill()

    def _on_answers(self, original: Any, number: int, batch: Batch) -> None:
        answered = batch.headers.answer if batch.headers is not None else ()
        is_given = any((number, True, at) in self._given for at in answered)
        if self.at == "before_ack" and is_given:
            self._kill()
        else:
            original(number, batch)

    def _kill(self) -> None:
        self.happened = True
        for name in ("_on_frame", "_on_data"):
            setattr(self._peer, name, _ignore)
        self._life.kill()


def _ignore(*_: object) -> None:
    pass
