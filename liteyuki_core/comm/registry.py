"""Names to channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import NotConnected
from .channel import Channel, check_name
from .current import current
from .ends.end import End


def get_channel(name: str) -> Channel[Any]:
    """Return this process's end of the channel `name`.

    In the process that made it, and for `NAME-active` and `NAME-passive` in the main process,
    that is the one end; in any other process the other. Asks nobody and never waits.

    Raises `ChannelNotFound`, and `NotConnected` outside a LiteyukiBot and its children.
    """
    return Channel._of(current().get(check_name(name)))


def get_channels() -> dict[str, Channel[Any]]:
    """Return all channels that can be got, by name. Raises `NotConnected`."""
    context = current()
    with context.lock:
        return {
            name: _NamedChannel(name, capacity)
            for name, (capacity, _) in context.port.names().items()
        }


def set_channel(name: str, channel: Channel[Any]) -> None:
    """Let every process get `channel` as `name`.

    In a child this waits for the main process's answer, at most 10 s. Raises `ChannelExists`
    when another channel has the name, `ChannelTimeout`, `NotConnected`.
    """
    check_name(name)
    if not isinstance(channel, Channel):
        raise TypeError(f"a Channel is needed, not {type(channel).__name__}")
    current().register(name, channel._open())
    channel._named(name)


def set_channels(channels: Mapping[str, Channel[Any]]) -> None:
    """Call `set_channel` for each item."""
    for name, channel in channels.items():
        set_channel(name, channel)


class _NamedChannel(Channel[Any]):
    """A channel that is got when it is first used."""

    def __init__(self, name: str, capacity: int) -> None:
        super().__init__(name, capacity=capacity)

    def _open(self) -> End:
        end = self._end
        if end is None:
            end = self._take(current().get(str(self._name)))
        return end


class _OwnChannel(Channel[Any]):
    """One of the two channels that every child process has from its start."""

    def __init__(self, kind: str) -> None:
        super().__init__(None)
        self._kind = kind

    def _open(self) -> End:
        end = self._end
        if end is None:
            process = current().process
            if process is None:
                raise NotConnected(
                    f"{self._kind}_channel is the child process's end; in the main process use "
                    f'get_channel("NAME-{self._kind}") with the name given to add_process'
                )
            self._name = f"{process}-{self._kind}"
            end = self._take(current().get(self._name))
        return end


active_channel: Channel[Any] = _OwnChannel("active")
"""In a child process: its end of `NAME-active`. Elsewhere using it raises `NotConnected`."""

passive_channel: Channel[Any] = _OwnChannel("passive")
"""In a child process: its end of `NAME-passive`. Elsewhere using it raises `NotConnected`."""
