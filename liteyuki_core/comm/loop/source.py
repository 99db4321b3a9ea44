"""The source of a runner's messages: one end of a channel, or a listener of the store."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from ...errors import ChannelError
from ...language import Phrase


class Source(Protocol):
    """The source of messages, as a runner and its callbacks see it.

    The loop's thread calls the methods, not under the lock. The source makes the runner ready under
    the lock.
    """

    idle: bool
    """Whether there is nothing to take. Then the runner is made ready when a message comes."""

    @property
    def name(self) -> str:
        """The channel's name."""

    @property
    def title(self) -> Phrase:
        """What the log calls it."""

    @property
    def capacity(self) -> int:
        """How many messages may be taken and not yet acknowledged."""

    def take(self) -> tuple[int, deque[Any], bool] | None:
        """Return the number of the next message, that message and some after it, and a flag.

        Returns None if there is no message. A str is a message as it is; `loads` rebuilds bytes,
        and `load` all others. The flag is PROMPT: the runner says of each message when it begins,
        and acknowledges it at once.
        """

    def has_messages(self) -> bool:
        """Return whether `take` would give some."""

    def ended(self) -> tuple[int, ChannelError] | None:
        """Return the error that says that no message will come any more, or None if some may.

        The number tells apart two ends of a source that came back between them.
        """

    def loads(self, payload: bytes, /) -> Any:
        """Rebuild a pickled message. May raise anything."""

    def not_rebuilt(self, error: Exception) -> None:
        """Note that a message could not be rebuilt."""

    def load(self, payload: Any) -> Any:
        """Rebuild a message that is neither text nor bytes. May raise anything."""

    def begin(self, number: int) -> None:
        """Say that the handling of a message begins."""

    def acknowledge(self, ranges: list[tuple[int, int]]) -> bool:
        """Say that the handling of these messages has ended. Return whether to call `pump`."""

    def pump(self) -> None:
        """Have what this and all other sources have said written. Never waits."""

    def return_unbegun(self, first: int, count: int) -> None:
        """Take back the last messages that `take` returned, which no callback was given."""

    def failed(self) -> None:
        """Count a callback that raised."""
