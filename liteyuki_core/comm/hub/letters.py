"""Messages that were set aside because the child that was handling them crashed again and again.

`Letters` owns the letters. The hub calls it. The user calls the methods of a `DeadLetter`, on any
thread.

Invariant: a letter is kept until it is put back or discarded. Only one of these happens, once.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from functools import partial
from typing import Any

from ...errors import ChannelClosed, LiteyukiError
from ...language import Phrase
from ..wire.batch import Batch
from ..wire.payload import Linked, load, load_linked
from .notes import Notes
from .route import Route
from .side import Entry


class DeadLetter:
    """A message that was being handled in `crashes` crashes in a row and was set aside.

    `channel` is the channel's name. `process` is the name of the process that crashed; if there are
    several, commas separate them. `size` is the size of the serialised message in bytes. `time` is
    when the message was set aside (UTC). The main process keeps the message in memory until it is
    put back or discarded. Any thread may call the methods.
    """

    def __init__(
        self,
        channel: str,
        process: str,
        crashes: int,
        batch: Batch,
        settle: Callable[[DeadLetter, bool], bool],
    ) -> None:
        self.channel = channel
        self.process = process
        self.crashes = crashes
        self.size = batch.size
        self.time = datetime.now(timezone.utc)
        self._batch = batch
        self._settle = settle

    def __repr__(self) -> str:
        return (
            f"<DeadLetter channel={self.channel!r} process={self.process!r} size={self.size} "
            f"crashes={self.crashes} time={self.time:%Y-%m-%d %H:%M:%S}>"
        )

    def load(self) -> Any:
        """Rebuild the message in this process and return it.

        In place of channels in it there are their keys. Raises whatever rebuilding raises: the
        message may be one that can't be rebuilt here.
        """
        (payload,) = self._batch.payloads()
        if isinstance(payload, Linked):
            return load_linked(payload, lambda key, _: key)
        return load(payload)

    def put_back(self) -> None:
        """Send the message again, behind the messages that wait on its channel.

        Raises `LiteyukiError` if it was put back or discarded before, or if its channel is gone.
        """
        self._do("put back", True)

    def discard(self) -> None:
        """Throw the message away. Raises `LiteyukiError` as `put_back` does."""
        self._do("discarded", False)

    def _do(self, what: str, again: bool) -> None:
        if not self._settle(self, again):
            raise LiteyukiError(
                f"channel {self.channel}: this message can't be {what}: it was put back or "
                "discarded before, or the channel is gone; see bot.dead_letters()"
            )


class Letters:
    """The messages that are set aside. `lock` is the hub's.

    `pump` is called, not under the lock, after a message was put back or discarded.
    """

    def __init__(
        self, lock: AbstractContextManager[Any], notes: Notes, pump: Callable[[], None]
    ) -> None:
        self._lock = lock
        self._notes = notes
        self._pump = pump
        self._kept: list[DeadLetter] = []
        self.observe: Callable[[DeadLetter], object] | None = None
        """Is called with each message that is set aside. Under the lock, so it never waits."""

    def kept(self) -> list[DeadLetter]:
        """Return the messages that are set aside, the oldest first. From any thread."""
        with self._lock:
            return list(self._kept)

    def set_aside(self, route: Route, i: int, entry: Entry) -> None:
        """Keep a message for side `i` of a channel. Under the lock."""
        crashes = len(entry.crashed)
        processes = ", ".join(dict.fromkeys(entry.crashed))
        settle = partial(self._settle, route, i, entry)
        letter = DeadLetter(route.name or "(unnamed)", processes, crashes, entry.batch, settle)
        self._kept.append(letter)
        if self.observe is not None:
            self.observe(letter)
        self._notes.add(
            "ERROR",
            Phrase(
                "{channel}: a message of {size} bytes was being handled in {crashes} crashes of "
                "process {processes} in a row and is set aside; bot.dead_letters() has it, to be "
                "put back or discarded",
                channel=route.title,
                size=letter.size,
                crashes=crashes,
                processes=processes,
            ),
        )

    def _settle(self, route: Route, i: int, entry: Entry, letter: DeadLetter, again: bool) -> bool:
        with self._lock:
            if letter not in self._kept:
                return False
            if not again:
                entry.unlink()
            elif route.forgotten or route.sides[i].ended is ChannelClosed:
                return False
            else:
                side = route.side_of(i, entry.batch.headers is not None)
                side.add(entry.batch, None, 0, entry.links)
            self._kept.remove(letter)
        self._pump()
        return True
