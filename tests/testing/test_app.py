"""A bot under test."""

from __future__ import annotations

from liteyuki_core.comm import active_channel
from liteyuki_core.testing import App


def echoes() -> None:
    for data in active_channel:
        active_channel.send(data)


def test_a_child(liteyuki_app: App) -> None:
    """It gets what is sent, and answers."""
    liteyuki_app.add("echo", echoes)
    liteyuki_app.ready("echo")
    channel = liteyuki_app.channel("echo-active")
    channel.send("ping")
    assert channel.should_receive("ping") == "ping"
