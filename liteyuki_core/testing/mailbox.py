"""One end of a channel as a test sees it: what it sends there, and what it expects to get.

Ownership. A `Mailbox` owns the callback that collects what comes. It is registered when the test
first asks for what has come: a test that only sends leaves the end to the code under test. The
callback runs on the loop of the end's process, the test looks on its own thread. A list is all they
share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..comm.channel import Channel
from ..errors import ChannelModeError
from .expected import Expected, shown
from .waiting import NOTHING, SECONDS, Waits

_SEND_SECONDS = 10.0


class Mailbox:
    """An end of a channel. `channel` is the end itself, for all that is not here."""

    def __init__(
        self,
        channel: Channel[Any],
        waits: Waits,
        start: Callable[[], object],
        scene: Callable[[], str],
    ) -> None:
        self.channel = channel
        self._waits = waits
        self._start = start
        self._scene = scene
        self._received: list[Any] | None = None
        self._left: list[Any] = []
        """What has come and was not expected yet."""

    def __repr__(self) -> str:
        return f"<Mailbox {self.channel._name!r}>"

    def send(self, data: Any) -> None:
        """Send a message, as `channel.send` does. Waits for room, at most 10 s."""
        self.channel.send(data, _SEND_SECONDS)

    @property
    def received(self) -> list[Any]:
        """All that has come, in order, also what was expected already."""
        self._collect()
        assert self._received is not None
        return list(self._received)

    def should_receive(self, value_or_predicate: Any, timeout: float = SECONDS) -> Any:
        """Wait until a message comes that equals a value, or for which a function returns true.

        Returns the message. Each message is expected once. Others that have come are left for later
        expectations, so the order does not matter; `received` has it. In an async test await it.
        Raises `AssertionError`, which shows what came instead, after `timeout` seconds.
        """
        __tracebackhide__ = True
        self._collect()
        expected = Expected(value_or_predicate)

        def late() -> Any:
            raise AssertionError(
                f"channel {self.channel._name}: what should be received did not come within "
                f"{timeout:g} s\n{expected.compared_with(self._left)}\n{self._scene()}"
            )

        return self._waits.until(
            "should_receive", lambda: expected.take_from(self._left), timeout, late
        )

    def should_not_receive(self, within: float = 0.5) -> Any:
        """Wait for so many seconds, in which no message may come, and none may be left.

        In an async test await it. Raises `AssertionError` as soon as there is a message.
        """
        __tracebackhide__ = True
        self._collect()

        def look() -> Any:
            if self._left:
                raise AssertionError(
                    f"channel {self.channel._name}: no message should be received\n"
                    f"came: {shown(self._left)}\n{self._scene()}"
                )
            return NOTHING

        return self._waits.until("should_not_receive", look, within, lambda: None)

    def forget(self) -> None:
        """Forget all that has come."""
        if self._received is not None:
            self._received.clear()
            self._left.clear()

    def _collect(self) -> None:
        if self._received is None:
            self._received = []
            try:
                self.channel.on_receive(ordered=True)(self._take)
            except ChannelModeError:
                self._received = None
                raise ChannelModeError(
                    f"channel {self.channel._name}: the code under test reads this end with "
                    "receive(), so all messages are given to it, and a test can't see them",
                    str(self.channel._name),
                ) from None
        self._start()

    async def _take(self, data: Any) -> None:
        assert self._received is not None
        self._received.append(data)
        self._left.append(data)
