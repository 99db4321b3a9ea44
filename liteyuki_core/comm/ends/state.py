"""What both halves of one end know of their channel: what it is called, whether it has ended."""

from __future__ import annotations

from ...errors import ChannelClosed, ChannelError


class State:
    """The state of one channel in this process. Its end changes it, its halves read it.

    All under the lock, but for what never changes. Invariant: once `closed` or `lost`, always so.
    """

    def __init__(self, number: int, name: str, anonymous: bool, capacity: int) -> None:
        self.number = number
        """What the port calls it."""
        self.name = name
        self.anonymous = anonymous
        """Whether handles alone lead to it, so that it is closed when there is none any more."""
        self.capacity = capacity
        self.closed = False
        """Whether this end was closed here."""
        self.gone: ChannelError | None = None
        """What to raise because the other side closed or is lost."""
        self.last = False
        """Whether no message of that one is still to come."""
        self.lost = False
        """Whether the way to the hub is gone."""

    def check_own(self) -> None:
        """Raise `ChannelClosed` where this end was closed here."""
        if self.closed:
            raise ChannelClosed(f"channel {self.name} is closed", self.name)

    def check_open(self) -> None:
        """Raise what is to be raised where this end or the other one has ended."""
        if self.closed:
            self.check_own()
        if self.gone is not None:
            raise self.gone.__class__(*self.gone.args)
