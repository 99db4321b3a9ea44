"""Kills of a child at a certain moment of a message, without anything in the child.

The main process sees each frame of a child: that the handling of a message begins, and that it has
ended. An armed `Kill` stands before the methods of the child's `LinkPeer` that take these frames,
and kills the process there. It is the peer of one process: nothing of this is in any other bot.

"handling": the child has said that it begins a message. Messages are given out PROMPT, as after a
crash, so that it says so. "before_ack": it has said that it has handled one, or has answered a
request. That is the last thing it says of a message, after all that it has sent while it handled
it, and here it is not believed. In both cases nothing that the process says from then on counts,
as if it had died before: so the message is unhandled, for certain, and goes to the successor.

Threads. `arm` is called by the test. All else is called where the child's link is read, under the
hub's lock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from ..comm.hub.link_peer import LinkPeer
from ..comm.wire import frames
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

    def arm(self) -> None:
        """Kill the process at its next message, or now if it has one in hand."""
        peer: LinkPeer = self._peer
        with peer._hub.lock:
            if self.at == "handling" and _has_messages(peer):
                self._kill()
                return
            self._stand_before("deliver", self._deliver)
            self._stand_before("_on_handled", self._on_handled)
            self._stand_before("_on_answers", self._on_answers)

    def _stand_before(self, name: str, method: Callable[..., object]) -> None:
        original = getattr(self._peer, name)
        setattr(self._peer, name, lambda *args: method(original, *args))

    def _deliver(self, original: Any, number: int, batch: Any) -> None:
        original(number, batch.having(batch.first, frames.PROMPT))

    def _on_handled(self, original: Any, number: int, ranges: Any, flags: int) -> None:
        has_begun = bool(flags & frames.BEGUN)
        if has_begun:
            original(number, ranges, flags)
        if has_begun is (self.at == "handling"):
            self._kill()
        elif not has_begun:
            original(number, ranges, flags)

    def _on_answers(self, original: Any, number: int, batch: Any) -> None:
        if self.at == "before_ack":
            self._kill()
        else:
            original(number, batch)

    def _kill(self) -> None:
        self.happened = True
        for name in ("_on_frame", "_on_data"):
            setattr(self._peer, name, _ignore)
        self._life.kill()


def _has_messages(peer: LinkPeer) -> bool:
    """Return whether a process was given messages or requests that it has not handled."""
    for route, i in peer.ends.values():
        for requests in (False, True):
            if requests and not route.has_requests:
                continue
            holder = route.side_of(i, requests).holders.get(peer)
            if holder is not None and holder.outstanding:
                return True
    return False


def _ignore(*_: object) -> None:
    pass
