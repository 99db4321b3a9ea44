"""A process's way to the hub: `Port` as ends see it, `ContextPort` as the context sees it.

The main process's port calls the hub directly (`hub/local_port.py`). A child's port uses the one
link of the child (`link_port.py`). The context calls `shut`, which ends the port.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ..wire.batch import Batch
from ..wire.words import FromChild


class Port(Protocol):
    """An end's way to the hub. All methods but `pump` and `flush` are called under the lock."""

    def data(self, number: int, batch: Batch) -> None:
        """Pass on messages."""

    def acknowledge(
        self, number: int, ranges: list[tuple[int, int]], requests: bool = False
    ) -> None:
        """Pass on that messages, or `requests`, were handled."""

    def begin(self, number: int, first: int, requests: bool) -> None:
        """Say that the handling of a message, or of a request, begins."""

    def give_answers(self, number: int, batch: Batch) -> None:
        """Pass on answers to requests, which were handled by that."""

    def ready_to_answer(self, number: int, window: int) -> None:
        """Say that this end has callbacks for `window` requests at a time."""

    def cancel(self, number: int, request: int, kill: bool) -> None:
        """Say that nobody waits for the answer to this request any more.

        With `kill`, the process of a pool that handles it is to be ended.
        """

    def ready(self, number: int, window: int, asks: bool) -> None:
        """Say that this end receives: it asks, or has callbacks for `window` messages at a time."""

    def ask_for(self, number: int, period: int, count: int) -> None:
        """Ask for `count` messages more, or fewer. Only where other processes receive too."""

    def give_back(
        self, number: int, period: int, ranges: list[tuple[int, int]], requests: bool
    ) -> None:
        """Give back messages, or `requests`, that nobody here has taken, at a period's start."""

    def close(self, number: int) -> None:
        """Say that this end is closed."""

    def leave(self, number: int) -> None:
        """Say that nobody here has a handle on this end any more."""

    def hold(self, key: str) -> None:
        """Say that a message with the channel `key` in it is about to be sent."""

    def pump(self) -> None:
        """Have the messages that were passed on written. Never waits. Not under the lock."""

    def flush(self) -> None:
        """Do the same, but wait first for a thread that is just writing. Not under the lock."""


class ContextPort(Port):
    """A context's way to the hub. `open` and `names` are called under the lock.

    `prefix` and a channel's number make the key of a channel that is made in this process.
    """

    prefix: str

    def names(self) -> Mapping[str, tuple[int, str]]:
        """Return the names of all channels that can be got, with their capacities and keys."""
        raise NotImplementedError

    def find(self, name: str) -> tuple[int, str] | None:
        """Return the capacity and the key of the channel of that name. Under the lock."""
        raise NotImplementedError

    def open(self, number: int, key: str | None, capacity: int) -> None:
        """Hold an end of channel `key` as `number`. A `key` of None means a new channel."""
        raise NotImplementedError

    def register(self, number: int, name: str) -> None:
        """Let every process get the channel held as `number` by `name`. Not under the lock.

        Raises `ChannelExists`.
        """
        raise NotImplementedError

    def word(self, word: FromChild) -> None:
        """Send the main process a control word about this process. Not under the lock.

        Raises `NotConnected` in the main process itself.
        """
        raise NotImplementedError

    @property
    def is_written(self) -> bool:
        """Whether all that was passed on has left this process. Not under the lock."""
        return True

    def shut(self, timeout: float) -> dict[int, int]:
        """Send what is queued, within `timeout` seconds, and close the port. Not under the lock.

        Returns by the channel's number how many messages could not be sent.
        """
        raise NotImplementedError

    def abandon(self) -> None:
        """Close the port's files in a forked copy of the process, and send nothing."""
        raise NotImplementedError
