"""Functions that find channels by name, and the two channels that every child has.

They use this process's context. Any thread may call them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, overload

from ..errors import ChannelError, NotConnected
from .channel import Channel, check_name
from .current import current
from .ends.end import End

T = TypeVar("T")


@overload
def get_channel(name: str) -> Channel[Any]: ...
@overload
def get_channel(name: str, kind: type[T]) -> Channel[T]: ...
def get_channel(name: str, kind: Any = None) -> Channel[Any]:
    """Return this process's end of the channel `name`.

    With `kind` it is checked as a `Channel[kind]` is.

    The process that made the channel gets its first end, every other process the other end. The
    main process has the first ends of `NAME-active` and `NAME-passive`. Never waits, and asks no
    other process.

    Raises `ChannelNotFound`, and `ChannelTypeError` for a `kind` that can't be checked. Raises
    `NotConnected` outside a LiteyukiBot and its children.
    """
    channel = Channel._of(current().get(check_name(name)))
    if kind is not None:
        channel._be_of_type(kind)
    return channel


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

    A child waits for the main process's answer, at most 10 s. Raises `ChannelExists` if another
    channel has the name, `ChannelTimeout`, `NotConnected`.
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


class _Later(Channel[Any]):
    """A handle on an end that is there already, or is opened by its name when it is first used."""

    def _find(self) -> End | None:
        try:
            return self._open()
        except (ChannelError, NotConnected):
            return None


class _NamedChannel(_Later):
    """A channel whose end is opened when it is first used."""

    def __init__(self, name: str, capacity: int) -> None:
        super().__init__(name, capacity=capacity)

    def _open(self) -> End:
        end = self._end
        if end is None:
            end = self._take(current().get(str(self._name)))
        return end


class _OwnChannel(_Later):
    """One of the two channels that every child has from its start."""

    def __init__(self, kind: str) -> None:
        super().__init__(None)
        self._kind = kind

    def _open(self) -> End:
        end = self._end
        if end is None:
            process = current().process
            if process is None:
                raise NotConnected(
                    f"{self._kind}_channel can be used in a child process only; "
                    "in the main process use "
                    f'get_channel("NAME-{self._kind}") with the name given to add_process'
                )
            self._name = f"{process}-{self._kind}"
            end = self._take(current().get(self._name))
        return end


active_channel: Channel[Any] = _OwnChannel("active")
"""A child's end of `NAME-active`. In other processes its use raises `NotConnected`."""

passive_channel: Channel[Any] = _OwnChannel("passive")
"""A child's end of `NAME-passive`. In other processes its use raises `NotConnected`."""
