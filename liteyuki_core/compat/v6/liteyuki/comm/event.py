"""v6's event between processes."""

from __future__ import annotations

from typing import Any


class Event:
    """A name and data, to be sent through a channel."""

    def __init__(self, name: str, data: dict[str, Any]) -> None:
        self.name = name
        self.data = data
