"""v6's channels: those of liteyuki_core under v6's names.

A channel that the main process makes with a name can be got by that name. A closed channel raises
an error that is a `RuntimeError` too. On `NAME-active` the numbers 1 and 0 are commands: restart
process NAME, stop process NAME.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from liteyuki_core import bot as core_bot
from liteyuki_core import comm as core
from liteyuki_core.comm import current, registry
from liteyuki_core.comm.channel import Channel as CoreChannel
from liteyuki_core.comm.channel import check_name
from liteyuki_core.comm.ends.end import End
from liteyuki_core.errors import ChannelClosed, ChannelNotFound, NotConnected
from liteyuki_core.language import say
from liteyuki_core.log import logger
from liteyuki_core.process import request_restart, request_stop

from ..utils import IS_MAIN_PROCESS

__all__ = [
    "Channel",
    "active_channel",
    "get_channel",
    "get_channels",
    "passive_channel",
    "set_channel",
    "set_channels",
]

T = TypeVar("T")

_ACTIVE, _PASSIVE = "-active", "-passive"
_RESTART, _STOP = 1, 0

_unopened: list[Channel[Any]] = []
"""Channels with names that were made before there was a LiteyukiBot."""
_awaited: dict[str, list[Callable[[], object]]] = {}
"""By process: what is registered on its channels when it is added."""


class ClosedChannel(ChannelClosed, RuntimeError):
    """This end was closed, or the other side was and all that it had sent was received."""


class Channel(CoreChannel[T]):
    """A channel of liteyuki_core with v6's arguments: its name first, `_id` being another word."""

    _registers = False
    """Whether its name is to be given to it when it is opened."""
    _told = False

    def __init__(
        self,
        name: str | None = None,
        type_check: bool | None = None,
        *,
        _id: str | None = None,
        capacity: int = 1024,
    ) -> None:
        name = (_id if name is None else name) or None
        super().__init__(name, capacity=capacity, type_check=type_check)
        self._registers = IS_MAIN_PROCESS and name is not None
        if self._registers:
            if is_connected():
                self._open()
            else:
                _unopened.append(self)

    def _open(self) -> End:
        if self._end is not None:
            return self._end
        end = super()._open()
        if self._registers:
            self._registers = False
            current.current().register(str(self._name), end)
        return end

    def __str__(self) -> str:
        return f"Channel({self.name})"

    def send(self, data: T, timeout: float | None = None) -> None:
        """Send `data`, or do what 1 and 0 on an active channel ask for."""
        if type(data) is int and data in (_RESTART, _STOP) and self._command(data == _RESTART):
            return
        try:
            super().send(data, timeout)
        except ChannelClosed as error:
            raise ClosedChannel(*error.args) from None

    def _process(self) -> str | None:
        """Return the process whose active channel this is, or None."""
        name = self.name or ""
        return name.removesuffix(_ACTIVE) if name.endswith(_ACTIVE) else None

    def _command(self, restart: bool) -> bool:
        """Restart or stop the process of this active channel; return False for another channel."""
        process = self._process()
        if process is None:
            return False
        if current.process() is not None:
            (request_restart if restart else request_stop)(process)
            return True
        bot = core_bot.get_bot()
        if process not in bot.processes:
            return False
        (bot.restart_process if restart else bot.stop_process)(process)
        return True

    def receive(self, timeout: float | None = None) -> T:
        """Return the next message."""
        self._warn()
        try:
            return super().receive(timeout)
        except ChannelClosed as error:
            raise ClosedChannel(*error.args) from None

    def async_receive(self, timeout: float | None = None) -> Coroutine[Any, Any, T]:
        """Return the next message. Awaitable."""
        self._warn()
        return _translated(super().async_receive(timeout))

    def _warn(self) -> None:
        """Say once that what this process has sent here comes to another process."""
        end = self._end
        if end is None or self._told or not IS_MAIN_PROCESS:
            return
        if not end.stats()["sent"]:
            return
        self._told = True
        sides = [held for held in _holders(str(self.name)) if held is not None]
        if len(sides) > 1:
            return
        logger.warning(
            say(
                "channel {name}: this process receives on the end that it has sent on. What it has "
                "sent comes to another process: a channel within one process, as v6 had it, is "
                "queue.Queue or asyncio.Queue",
                name=self.name,
            )
        )


async def _translated(receiving: Coroutine[Any, Any, T]) -> T:
    try:
        return await receiving
    except ChannelClosed as error:
        raise ClosedChannel(*error.args) from None


def is_connected() -> bool:
    """Return whether there is a LiteyukiBot, or this is its child."""
    try:
        current.current()
    except NotConnected:
        return False
    return True


def _holders(name: str) -> list[str | None]:
    """Return the processes that hold an end of a channel, in the main process."""
    try:
        return [held.process for held in core_bot.get_bot()._hub.ends(name)[1]]
    except (KeyError, NotConnected):
        return []


class _Own(Channel[Any], registry._OwnChannel):
    """A child's own channel."""

    def __init__(self, kind: str) -> None:
        CoreChannel.__init__(self)
        self._kind = kind

    def _process(self) -> str | None:
        return current.process() if self._kind == "active" else None


class _Awaited(Channel[Any]):
    """A channel of a process that is yet to be added: it is opened when it is used."""

    def __init__(self, name: str) -> None:
        CoreChannel.__init__(self, name)

    def _open(self) -> End:
        if self._end is None:
            self._take(current.current().get(str(self._name)))
        return super()._open()

    def _find(self) -> End | None:
        try:
            return self._open()
        except (ChannelNotFound, NotConnected):
            return None

    def on_receive(self, positional: Any = None, /, **how: Any) -> Any:
        """Decorate a callback, which is registered when the process is added."""
        if self._find() is not None:
            return super().on_receive(positional, **how)
        process = str(self._name).rpartition("-")[0]

        def decorator(callback: Any) -> Any:
            def register() -> None:
                given = {"filter_func": positional} if positional is not None else {}
                CoreChannel.on_receive(self, **given, **how)(callback)

            _awaited.setdefault(process, []).append(register)
            return callback

        return decorator


Channel._shared_class = Channel

active_channel: Channel[Any] = _Own("active")
"""A child's end of `NAME-active`. `send(1)` asks for its restart, `send(0)` for its stop."""

passive_channel: Channel[Any] = _Own("passive")
"""A child's end of `NAME-passive`."""


def get_channel(name: str) -> Channel[Any]:
    """Return this process's end of a channel.

    In the main process `NAME-active` and `NAME-passive` may be asked for before process NAME is
    added. Raises `ChannelNotFound`, a `KeyError`, for other unknown names.
    """
    try:
        return Channel._of(current.current().get(check_name(name)))  # type: ignore[return-value]
    except ChannelNotFound:
        if current.process() is None and name.endswith((_ACTIVE, _PASSIVE)):
            return _Awaited(name)
        raise


get_channels = core.get_channels


def set_channel(name: str, channel: CoreChannel[Any]) -> None:
    """Let every process get `channel` as `name`."""
    if isinstance(channel, Channel):
        channel._registers = False
    core.set_channel(name, channel)


def set_channels(channels: dict[str, CoreChannel[Any]]) -> None:
    """Call `set_channel` for each item."""
    for name, channel in channels.items():
        set_channel(name, channel)


def made(process: str | None = None) -> None:
    """Learn that there is a LiteyukiBot, or that `process` was added to it."""
    while _unopened:
        _unopened.pop(0)._open()
    for register in _awaited.pop(process, []) if process is not None else []:
        register()
