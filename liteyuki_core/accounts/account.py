"""What is known of an account. Plain values. Any thread may read them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from ..language import Phrase


class AccountState(enum.Enum):
    """The state of an account."""

    ONLINE = "online"
    """It is connected, and nothing says that it is not logged in."""
    OFFLINE = "offline"
    """It is connected, but its platform has logged it out."""
    DISCONNECTED = "disconnected"
    """It is not connected to its process, or that process does not run."""


@dataclass(frozen=True)
class Account:
    """An account of a bot, as it was at one moment.

    `adapter` and `id` are NoneBot's names for the adapter and for the bot (`bot.self_id`).
    `process` is the name of the child that the bot is in. `since` is when the account entered its
    state, in UTC. `nickname` is "" where nobody has said it.
    """

    adapter: str
    id: str
    process: str
    state: AccountState
    since: datetime
    nickname: str

    @property
    def title(self) -> Phrase:
        """What a line of text calls it."""
        return Phrase(
            "account {name} of {adapter} in process {process}",
            name=f"{self.nickname} ({self.id})" if self.nickname else self.id,
            adapter=self.adapter,
            process=self.process,
        )
