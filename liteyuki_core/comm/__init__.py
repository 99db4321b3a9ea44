"""What crosses processes: channels, calls of workers, and the shared store."""

from .channel import Channel
from .queue import Queue, get_queue
from .registry import (
    active_channel,
    get_channel,
    get_channels,
    passive_channel,
    set_channel,
    set_channels,
)
from .select import async_select, select
from .storage import shared_memory
from .workers import workers

__all__ = [
    "Channel",
    "Queue",
    "active_channel",
    "async_select",
    "get_channel",
    "get_channels",
    "get_queue",
    "passive_channel",
    "select",
    "set_channel",
    "set_channels",
    "shared_memory",
    "workers",
]
