"""Law C2 of channels: values.

A message is serialised at `send`; what can't be raises there, and nothing was sent. What can't be
rebuilt is logged by its receiver and skipped. Too much is `MessageTooLarge`. Long messages are
tested in `tests/comm/wire/test_payload.py`.
"""

from __future__ import annotations

import pytest

from liteyuki_core.errors import (
    MessageTooLarge,
    SendError,
)
from tests.pair import Door, Ends, Pair, Unbuildable, in_thread


def test_a_message_is_a_value(ends: Ends, door: Door) -> None:
    """Changing data after its send changes nothing."""
    sender, receiver = ends
    data = {"list": [1]}
    door.send(sender, data)
    data["list"].append(2)
    assert door.receive(receiver) == {"list": [1]}


def test_unsendable_data_raises_and_sends_nothing(ends: Ends, door: Door) -> None:
    """What can't be pickled raises at send, with its type, and takes no room."""
    sender, receiver = ends
    for _ in range(3):
        with pytest.raises(SendError, match=r"channel-1.*generator") as caught:
            door.send(sender, (i for i in range(3)), 0.1)
        assert isinstance(caught.value, TypeError)
    door.send(sender, "after", 5)
    assert door.receive(receiver) == "after"


@pytest.mark.one_hub
@pytest.mark.every_transport
def test_unrebuildable_message_is_logged_and_skipped(pair: Pair, ends: Ends, door: Door) -> None:
    """The receiver logs the channel's name and lives on; the room comes back."""
    sender, receiver = ends
    thread = in_thread(lambda: [door.send(sender, x) for x in (Unbuildable(), Unbuildable(), 1)])
    assert door.receive(receiver) == 1
    thread.join(10)
    line = pair.logged("ERROR", "channel-1", "not here")
    assert "skipped" in line


@pytest.mark.every_transport
def test_too_large_a_message(ends: Ends, door: Door) -> None:
    """Over max_message_bytes raises and sends nothing; at the limit it passes."""
    sender, receiver = ends
    for _ in range(2):
        with pytest.raises(MessageTooLarge, match=r"channel-1.*1048577.*LITEYUKI_MAX"):
            door.send(sender, b"x" * ((1 << 20) + 1), 0.1)
    thread = in_thread(door.send, sender, b"y" * (1 << 20))
    assert door.receive(receiver) == b"y" * (1 << 20)
    thread.join(10)


@pytest.mark.one_hub
def test_a_bot_is_sent_by_its_id(ends: Ends, door: Door) -> None:
    """The error of a framework's bot, alone or in a container, says what to send in its place."""

    class Bot:
        self_id = "1"

        async def call_api(self) -> None:
            """Call an API of the bot."""

    sender, _ = ends
    for data in (Bot(), {"bot": Bot()}, ["text", Bot()]):
        with pytest.raises(SendError, match=r"send bot\.self_id in place of a bot"):
            door.send(sender, data)
    with pytest.raises(SendError, match="send what pickle can carry"):
        door.send(sender, lambda: 0)
