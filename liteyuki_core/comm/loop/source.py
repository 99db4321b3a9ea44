"""What callbacks are fed from: one end of a channel, or a listener of the store."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol


class Source(Protocol):
    """What a runner and its callbacks need of a channel end.

    The loop's thread calls the methods, not under the lock; the runner is made ready under it.
    """

    idle: bool
    """Whether nothing is left to take, and the runner is made ready when that changes."""

    @property
    def name(self) -> str:
        """The channel's name."""

    @property
    def title(self) -> str:
        """What it is called in the log."""

    @property
    def capacity(self) -> int:
        """How many messages may be taken and not acknowledged."""

    def take(self) -> tuple[int, deque[Any], bool] | None:
        """Return the number of the next message and some from that on, or None.

        A str is a message as it stands; `loads` makes what is bytes, `load` all others. Last
        comes whether to say of each that it begins, and at once when it is handled.
        """

    def has_messages(self) -> bool:
        """Return whether `take` would give some."""

    def loads(self, payload: bytes, /) -> Any:
        """Rebuild a pickled message. May raise anything."""

    def not_rebuilt(self, error: Exception) -> None:
        """Learn that a message could not be rebuilt."""

    def load(self, payload: Any) -> Any:
        """Rebuild a message that is neither text nor bytes. May raise anything."""

    def begin(self, number: int) -> None:
        """Say that the handling of a message begins."""

    def acknowledge(self, ranges: list[tuple[int, int]]) -> None:
        """Say that the handling of these messages has ended."""

    def return_unbegun(self, first: int, count: int) -> None:
        """Take back messages that `take` gave last and no callback was given."""

    def failed(self) -> None:
        """Count a callback that raised."""
