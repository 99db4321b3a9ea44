"""What crosses processes: channels."""

from .channel import Channel
from .registry import (
    active_channel,
    get_channel,
    get_channels,
    passive_channel,
    set_channel,
    set_channels,
)

__all__ = [
    "Channel",
    "active_channel",
    "get_channel",
    "get_channels",
    "passive_channel",
    "set_channel",
    "set_channels",
]
