"""The two channels of a child, as croterline names them."""

from __future__ import annotations

from typing import Any

from liteyuki_core import Channel


class Context:
    """The channels of one child: `main_chan` brings what main sends, `sub_chan` what it sends."""

    def __init__(
        self, main_chan: Channel[Any] | None = None, sub_chan: Channel[Any] | None = None
    ) -> None:
        self.main_chan: Channel[Any] = Channel() if main_chan is None else main_chan
        self.sub_chan: Channel[Any] = Channel() if sub_chan is None else sub_chan

    def set_value(self, key: str, value: Any) -> None:
        """Keep a value in this process."""
        setattr(self, key, value)

    def get_value(self, key: str) -> Any:
        """Return a value that this process keeps."""
        return getattr(self, key)
