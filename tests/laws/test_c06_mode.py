"""Law C6 of channels: one mode an end.

An end has callbacks, or is received from, never both.
"""

from __future__ import annotations

import pytest

from liteyuki_core.errors import (
    ChannelEmpty,
    ChannelModeError,
)
from tests.pair import Door, Ends


def test_one_mode(ends: Ends, door: Door) -> None:
    """An end with callbacks can't receive, and the other way round; the other end is free."""
    one, other = ends
    one.on_receive()(lambda data: None)
    with pytest.raises(ChannelModeError, match="on_receive"):
        door.receive(one)
    with pytest.raises(ChannelModeError):
        one.receive_nowait()
    with pytest.raises(ChannelEmpty):
        other.receive_nowait()
    with pytest.raises(ChannelModeError, match=r"is read with receive\(\)"):
        other.on_receive()(lambda data: None)
