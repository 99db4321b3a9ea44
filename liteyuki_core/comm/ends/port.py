"""A process's way to the hub, as its ends see it and as its context does.

The main process's is by direct calls, a child's its one link.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ..wire.batch import Batch
from ..wire.words import FromChild


class Port(Protocol):
    """An end's way to the hub. All but `pump` are called under the context's lock."""

    def data(self, number: int, batch: Batch) -> None:
        """Pass on messages."""

    def acknowledge(self, number: int, ranges: list[tuple[int, int]]) -> None:
        """Pass on that messages were handled."""

    def begin(self, number: int, first: int) -> None:
        """Say that the handling of a message begins."""

    def ready(self, number: int, window: int, asks: bool) -> None:
        """Say that this end receives: by asking, or with callbacks for `window` messages."""

    def ask_for(self, number: int, period: int, count: int) -> None:
        """Say that so many messages more are asked for, where others receive too."""

    def give_back(self, number: int, period: int, ranges: list[tuple[int, int]]) -> None:
        """Give back messages that nobody has taken, at the start of a period."""

    def close(self, number: int) -> None:
        """Say that this end is closed."""

    def leave(self, number: int) -> None:
        """Say that nobody here has a handle on this end any more."""

    def hold(self, key: str) -> None:
        """Say that a message with the channel `key` in it is about to be sent."""

    def pump(self) -> None:
        """Get moving what was passed on. Never waits."""

    def flush(self) -> None:
        """Do the same, and let a thread that is just writing come to its end first."""


class ContextPort(Port):
    """A context's way to the hub. `open` and `names` are called under the lock.

    `prefix` and a channel's number here make the key of a channel that is made here.
    """

    prefix: str

    def names(self) -> Mapping[str, tuple[int, str]]:
        """Return the names of all channels that can be got, with capacities and keys."""
        raise NotImplementedError

    def find(self, name: str) -> tuple[int, str] | None:
        """Return the capacity and the key of the channel of that name. Under the lock."""
        raise NotImplementedError

    def open(self, number: int, key: str | None, capacity: int) -> None:
        """Hold, as `number`, an end of channel `key`, or of a new one where that is None."""
        raise NotImplementedError

    def register(self, number: int, name: str) -> None:
        """Have everybody know the channel held as `number` as `name`. Not under the lock.

        Raises `ChannelExists`.
        """
        raise NotImplementedError

    def word(self, word: FromChild) -> None:
        """Send the main process a word about this process. Not under the lock.

        Raises `NotConnected` in the main process itself.
        """
        raise NotImplementedError

    def shut(self, timeout: float) -> dict[int, int]:
        """Send what is queued within `timeout` seconds and end the way. Not under the lock.

        Returns how many messages could not be sent, by the channel's number.
        """
        raise NotImplementedError

    def abandon(self) -> None:
        """Let go of it in a forked copy of the process."""
        raise NotImplementedError
