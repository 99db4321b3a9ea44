"""What the main process and a NoneBot child tell each other about chat, as plain data.

On the channel `NAME-session` of each child NAME, which the main process makes when its first
handler is registered. The child sends `Forwarded` and `Connected` as messages. The main process
sends `Send` and `CallApi` as requests; the answer is the result as plain data, or `Missing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

CAPACITY = 10_000
"""How many messages of a child may be under way or waiting for their turn in the main process."""


def channel_of(process: str) -> str:
    """Return the name of the channel on which a child tells and is asked about chat."""
    return f"{process}-session"


@dataclass(frozen=True)
class Forwarded:
    """A message event that a bot of the child has got."""

    adapter: str
    bot: str
    scene: tuple[str, str, str]
    """The type, the id, and the id of what it belongs to."""
    user: tuple[str, str, str, bool]
    """The id, the name, the role, and whether it is a superuser."""
    segments: list[tuple[str, dict[str, Any]]]
    text: str
    raw: dict[str, Any]
    time: float
    id: str
    to_me: bool
    address: dict[str, Any] | None
    """Where a reply goes, as only the child needs to know it; None: to the scene."""
    starts: tuple[str, ...]
    """What commands begin with in this NoneBot, and what is between the parts of a command."""
    separators: tuple[str, ...]


@dataclass(frozen=True)
class Connected:
    """A bot has connected to the child."""

    adapter: str
    bot: str


@dataclass(frozen=True)
class Send:
    """The child is to send a message."""

    adapter: str
    bot: str
    scene: tuple[str, str, str]
    segments: list[tuple[str, dict[str, Any]]]
    at: str
    """The id of the user to mention, or ""."""
    quote: str
    """The id of the message to quote, or ""."""
    address: dict[str, Any] | None

    @property
    def what(self) -> str:
        """What is to be done, in words."""
        return f"a message to {self.scene[0]} {self.scene[1]}"


@dataclass(frozen=True)
class CallApi:
    """The child is to call an API of a bot."""

    adapter: str
    bot: str
    api: str
    params: dict[str, Any]

    @property
    def what(self) -> str:
        """What is to be done, in words."""
        return f"API {self.api}"


@dataclass(frozen=True)
class Missing:
    """The bot that was asked for is not connected to the child now."""


Request: TypeAlias = Send | CallApi
