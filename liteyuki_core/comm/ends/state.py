"""What both halves of one end know of their channel: its name, and whether it has ended."""

from __future__ import annotations

from ...errors import ChannelClosed, ChannelError


class State:
    """The state of one channel in this process. The end changes it, its halves read it.

    Under the lock, except for what never changes. Invariant: `closed` and `lost` stay True.
    """

    def __init__(self, number: int, name: str, anonymous: bool, capacity: int) -> None:
        self.number = number
        """The number by which the port knows this end."""
        self.name = name
        self.anonymous = anonymous
        """Whether only handles lead to the channel. Then it ends when the last handle is gone."""
        self.capacity = capacity
        self.closed = False
        """Whether this end was closed in this process."""
        self.gone: ChannelError | None = None
        """The error to raise because the other side has closed or is lost."""
        self.returns = 0
        """How often the other side was gone and has come back."""
        self.last = False
        """Whether no more messages of the other side will come."""
        self.lost = False
        """Whether the way to the hub is gone."""

    def check_own(self) -> None:
        """Raise `ChannelClosed` if this end was closed in this process."""
        if self.closed:
            raise ChannelClosed(f"channel {self.name} is closed", self.name)

    def check_open(self) -> None:
        """Raise `ChannelClosed` or `ChannelBroken` if this end or the other side has ended."""
        if self.closed:
            self.check_own()
        if self.gone is not None:
            raise self.gone.__class__(*self.gone.args)
