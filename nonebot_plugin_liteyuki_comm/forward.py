"""Forwards message events to the main process, and does what its handlers ask bots to do.

NoneBot's loop goes on whatever the main process does: an event is put into a queue, and one task
sends what is in it. When the main process is slow, the queue grows, and the log says so. What is
still in it when the process crashes is lost; what was sent is not.

Ownership. The `Forwarder` owns its queue and its task, which NoneBot's lifespan starts and ends.
Only NoneBot's loop uses it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from importlib.util import find_spec
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

from nonebot import get_adapters, require
from nonebot.adapters import Bot, Event
from nonebot.adapters.onebot.v11 import Bot as OneBot
from nonebot.adapters.onebot.v11 import MessageEvent
from nonebot.message import event_preprocessor
from nonebot.permission import SuperUser

from liteyuki_core.comm import Channel, current, get_channel
from liteyuki_core.errors import ChannelError, ChannelNotFound
from liteyuki_core.language import listed, say
from liteyuki_core.log import logger
from liteyuki_core.session.exchange import (
    CallApi,
    Connected,
    Forwarded,
    Missing,
    Request,
    Send,
    channel_of,
)

from . import onebot
from .plain import plain

if TYPE_CHECKING:
    from nonebot.drivers import Driver

_TOLD_FROM = 1000
"""The log says how many messages wait when so many do, and each time that they have doubled."""
_END_SECONDS = 3.0
"""A shutdown waits so long for what is in the queue, unless it was given a deadline."""
_PLUGINS = ("nonebot_plugin_alconna", "nonebot_plugin_uninfo")

_superuser = SuperUser()

_Item: TypeAlias = "Connected | Forwarded | asyncio.Task[Forwarded]"
"""What goes to the main process. A task describes an event, with the help of the adapter's API."""


def forward(driver: Driver, process: str) -> Forwarder:
    """Forward the message events of this NoneBot from now on."""
    forwarder = Forwarder(driver, process, _load_universal())

    @event_preprocessor
    async def forward_event(bot: Bot, event: Event) -> None:
        if event.get_type() == "message":
            await forwarder.take(bot, event)

    @driver.on_bot_connect
    async def tell_connected(bot: Bot) -> None:
        forwarder.connected(bot)

    @driver.on_bot_disconnect
    async def break_off(bot: Bot) -> None:
        forwarder.disconnected(bot)

    driver.on_startup(forwarder.start)
    driver.on_shutdown(forwarder.end)
    return forwarder


class Forwarder:
    """Sends message events of this process, and answers requests about its bots."""

    def __init__(self, driver: Driver, process: str, universal: Any) -> None:
        self._config = driver.config
        self._name = channel_of(process)
        self._universal = universal
        """The module `universal`, or None where it can't be imported or is not needed."""
        self._channel: Channel[Any] | None = None
        self._queue: deque[_Item] = deque()
        self._filled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._tell_at = _TOLD_FROM
        self._told: set[str] = set()
        """What the log says once."""
        self._under_way: dict[asyncio.Task[Any], Bot] = {}
        """What bots are doing for the main process."""

    # ------------------------------------------------------------- the lifespan

    async def start(self) -> None:
        """Begin to send, and to answer requests."""
        self._find_channel()
        self._task = asyncio.create_task(self._send_all(), name="liteyuki-forward")

    async def end(self) -> None:
        """Send what is in the queue, as long as the shutdown may take. Then end the task."""
        task, self._task = self._task, None
        if task is None:
            return
        at = current.current().stop.at or monotonic() + _END_SECONDS
        while self._queue and not task.done() and monotonic() < at:
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait({task})
        if self._queue:
            logger.error(
                say(
                    "{count} messages could not be forwarded before NoneBot shut down",
                    count=len(self._queue),
                )
            )
            for item in self._queue:
                if isinstance(item, asyncio.Task):
                    item.cancel()
            self._queue.clear()

    def _find_channel(self) -> Channel[Any] | None:
        """Return the channel to the main process; None if nobody there handles messages yet."""
        if self._channel is None:
            try:
                channel = get_channel(self._name)
            except ChannelNotFound:
                return None
            channel.on_request()(self._answer)
            self._channel = channel
        return self._channel

    # ------------------------------------------------------------- to the main process

    async def take(self, bot: Bot, event: Event) -> None:
        """Take in a message event. Never waits."""
        if self._find_channel() is None:
            self._tell_once(
                say(
                    "messages are not forwarded: the main process has no handler for them; "
                    "register one with on_message of liteyuki_core.session, or turn "
                    "LITEYUKI_COMM_FORWARD off"
                )
            )
            return
        superuser = await _superuser(bot, event)  # Looks into the settings, and waits for nothing.
        if isinstance(bot, OneBot) and isinstance(event, MessageEvent):
            self._put(self._forwarded(bot, event, superuser, onebot.described(event)))
        elif self._universal is not None:
            self._put(asyncio.create_task(self._described(bot, event, superuser)))
        else:
            self._tell_once(
                say(
                    "messages of the adapter {adapter} are not forwarded: that needs {plugins}; "
                    "install nonebot-plugin-liteyuki-comm[session]",
                    adapter=bot.adapter.get_name(),
                    plugins=listed(_PLUGINS),
                )
            )

    def connected(self, bot: Bot) -> None:
        """Tell the main process that a bot is connected."""
        if self._find_channel() is not None:
            self._put(Connected(bot.adapter.get_name(), bot.self_id))

    def disconnected(self, bot: Bot) -> None:
        """Break off what a bot is doing: the answer of its API comes no more."""
        for task, other in self._under_way.items():
            if other is bot:
                task.cancel()

    def _put(self, item: _Item) -> None:
        self._queue.append(item)
        self._filled.set()
        if len(self._queue) >= self._tell_at:
            self._tell_at *= 2
            logger.warning(
                say(
                    "{count} messages wait to be forwarded: the main process handles them more "
                    "slowly than they come",
                    count=len(self._queue),
                )
            )

    async def _send_all(self) -> None:
        while True:
            while self._queue:
                await self._send(self._queue[0])
                self._queue.popleft()
            self._tell_at = _TOLD_FROM
            self._filled.clear()
            await self._filled.wait()

    async def _send(self, item: _Item) -> None:
        assert self._channel is not None
        try:
            told = await item if isinstance(item, asyncio.Task) else item
            await self._channel.async_send(told)
        except ChannelError as error:
            self._tell_once(say("a message could not be forwarded: {error}", error=error))
        except Exception as error:
            logger.opt(exception=error).error(
                say("a message could not be forwarded: {error}", error=repr(error))
            )

    async def _described(self, bot: Bot, event: Event, superuser: bool) -> Forwarded:
        return self._forwarded(bot, event, superuser, await self._universal.described(bot, event))

    def _forwarded(
        self, bot: Bot, event: Event, superuser: bool, described: dict[str, Any]
    ) -> Forwarded:
        return Forwarded(
            adapter=bot.adapter.get_name(),
            bot=bot.self_id,
            text=event.get_plaintext(),
            raw=plain(event),
            to_me=event.is_tome(),
            starts=tuple(self._config.command_start),
            separators=tuple(self._config.command_sep),
            **{**described, "user": (*described["user"], superuser)},
        )

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            logger.warning(line)

    # ------------------------------------------------------------- from the main process

    async def _answer(self, request: object) -> Any:
        if not isinstance(request, Send | CallApi):
            raise TypeError(f"a {type(request).__name__} is nothing to do for a bot")
        bot = _bot(request)
        if bot is None:
            return Missing()
        task = asyncio.ensure_future(self._do(bot, request))
        self._under_way[task] = bot
        try:
            await asyncio.wait({task})
        finally:
            del self._under_way[task]
            task.cancel()
        # When the connection breaks, some adapters raise and others wait for ever. Either way the
        # main process asks again when the bot is back.
        failed = task.cancelled() or task.exception() is not None
        if failed and _bot(request) is not bot:
            return Missing()
        return plain(task.result())

    async def _do(self, bot: Bot, request: Request) -> Any:
        if isinstance(request, CallApi):
            return await bot.call_api(request.api, **request.params)
        if isinstance(bot, OneBot):
            return await onebot.send(bot, request)
        if self._universal is None:
            raise RuntimeError(f"a bot of {request.adapter} can't be sent to without {_PLUGINS}")
        return await self._universal.send(bot, request)


def _bot(request: Request) -> Bot | None:
    """Return the bot that is to do something, or None if it is not connected."""
    adapter = get_adapters().get(request.adapter)
    return None if adapter is None else adapter.bots.get(request.bot)


def _load_universal() -> Any:
    """Return the module `universal`, or None if it is not needed or its plugins are not there."""
    if set(get_adapters()) == {onebot.ADAPTER} or not all(map(find_spec, _PLUGINS)):
        return None
    for plugin in _PLUGINS:
        require(plugin)
    from . import universal

    return universal
