"""Channels and events."""

from .channel import (
    Channel,
    active_channel,
    get_channel,
    get_channels,
    passive_channel,
    set_channel,
    set_channels,
)
from .event import Event

__all__ = [
    "Channel",
    "Event",
    "active_channel",
    "get_channel",
    "get_channels",
    "passive_channel",
    "set_channel",
    "set_channels",
]
