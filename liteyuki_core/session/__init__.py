"""Chat handled in the main process: the names for users."""

from .event import Bot, MessageEvent, Scene, Segment, User
from .on import (
    on_command,
    on_endswith,
    on_fullmatch,
    on_keywords,
    on_message,
    on_regex,
    on_startswith,
)
from .rule import SUPERUSER, Rule

__all__ = [
    "SUPERUSER",
    "Bot",
    "MessageEvent",
    "Rule",
    "Scene",
    "Segment",
    "User",
    "on_command",
    "on_endswith",
    "on_fullmatch",
    "on_keywords",
    "on_message",
    "on_regex",
    "on_startswith",
]
