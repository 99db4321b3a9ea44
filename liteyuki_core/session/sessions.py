"""Chat in the main process: messages that children forward go to handlers, in order.

Ownership. LiteyukiBot makes one `Sessions` and closes it. It owns the handlers, the channel to each
child, the conversations, and the tasks in which handlers run.

Threads. Any thread may call `add_handler` and `add_process`. LiteyukiBot's loop does all else.

Invariants.
- There is no channel, and nothing is forwarded, before the first handler is registered.
- A message is offered once, whoever reports it: the newest are remembered by their ids.
- A message is acknowledged when its turn is over. So what waits here is bounded by the channels.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from .. import log
from ..comm import Channel, set_channel
from ..comm.loop.callbacks import EXITS
from ..comm.loop.dispatch import Dispatcher
from ..language import Phrase, say
from ..process.state import ChildProcess, ProcessState
from .calls import Calls
from .conversation import Conversation, Run
from .event import Bot, MessageEvent, Scene, Segment, User
from .exchange import CAPACITY, Connected, Forwarded, channel_of
from .finding import Command, split_command
from .handler import Handler

_REMEMBERED = 16_384
"""How many messages are remembered, so that none of them is offered twice."""


class Sessions:
    """Offers each message to the handlers, and knows who waits for an answer."""

    def __init__(self, dispatcher: Dispatcher, children: Mapping[str, ChildProcess]) -> None:
        self._dispatcher = dispatcher
        self._children = children
        self._lock = threading.RLock()
        self._handlers: tuple[Handler, ...] = ()
        """In the order in which they get an event."""
        self._commands: frozenset[Command] = frozenset()
        self._channels: dict[str, Channel[Any]] = {}
        self._calls = Calls(children, self._channels)
        self._conversations: dict[tuple[str, ...], Conversation] = {}
        self._seen: OrderedDict[tuple[str | int, ...], None] = OrderedDict()
        self._runs: dict[asyncio.Task[None], Run] = {}
        """The handlers that run, by their tasks."""
        self._closed = False

    # ------------------------------------------------------------- what is registered

    def add_handler(self, handler: Handler) -> None:
        """Register a handler. Raises `ChannelExists` if a child's channel has another's name."""
        with self._lock:
            for process in list(self._children):
                self._open(process)
            handlers = [*self._handlers, handler]
            self._handlers = tuple(sorted(handlers, key=lambda each: each.priority))
            self._commands |= frozenset(handler.commands)

    def add_process(self, process: str) -> None:
        """Learn of a new child. Raises `ChannelExists` likewise."""
        with self._lock:
            if self._handlers:
                self._open(process)

    def _open(self, process: str) -> None:
        if process in self._channels:
            return
        channel: Channel[Any] = Channel(channel_of(process), capacity=CAPACITY)
        set_channel(channel_of(process), channel)
        self._channels[process] = channel

        @channel.on_receive()
        async def arrived(told: object) -> None:
            await self._arrived(process, told)

    # ------------------------------------------------------------- on the loop

    def process_state(self, process: str, state: ProcessState) -> None:
        """Learn that a child has a new state."""
        self._calls.process_state(process, state)

    async def settle(self, timeout: float) -> None:
        """Offer no message any more. Wait until handlers have ended, at most `timeout` seconds.

        Those that wait for an answer are not waited for.
        """
        self._closed = True
        rests = [asyncio.ensure_future(run.at_rest.wait()) for run in self._runs.values()]
        if rests:
            _, late = await asyncio.wait(rests, timeout=timeout)
            for rest in late:
                rest.cancel()

    def close(self) -> None:
        """Cancel the handlers that still run. From now on no message is offered."""
        self._closed = True
        for task in self._runs:
            task.cancel()

    async def _arrived(self, process: str, told: object) -> None:
        if isinstance(told, Connected):
            self._calls.connected(process, told.adapter, told.bot)
        elif isinstance(told, Forwarded):
            if self._is_new(told):
                await self._handle(self._event(process, told))
        else:
            log.logger.warning(
                say(
                    "channel {name}: only nonebot_plugin_liteyuki_comm may send on it, so a {type} "
                    "is dropped",
                    name=channel_of(process),
                    type=type(told).__name__,
                )
            )

    def _is_new(self, told: Forwarded) -> bool:
        """Return whether a message was not offered yet. Remember it, if it has an id.

        Implementations that count from 1 after each start use an id again, for other messages.
        """
        if not told.id:
            return True
        key = (told.adapter, told.bot, *told.scene, told.id, told.user[0], hash(told.text))
        if key in self._seen:
            self._seen.move_to_end(key)
            return False
        self._seen[key] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return True

    def _event(self, process: str, told: Forwarded) -> MessageEvent:
        command, arguments = split_command(told, self._commands)
        kind, scene, parent = told.scene
        return MessageEvent(
            told.adapter,
            Bot(told.adapter, told.bot, process, self._calls),
            Scene(kind, scene, parent),  # type: ignore[arg-type]
            User(*told.user),
            [Segment(*each) for each in told.segments],
            told.text,
            told.raw,
            told.time,
            told.id,
            told.to_me,
            command,
            arguments,
            _address=told.address,
        )

    async def _handle(self, event: MessageEvent) -> None:
        """Handle a message in its turn, and return when the turn is over."""
        scene = event.scene
        key = (event.adapter, event.bot.id, scene.type, scene.parent, scene.id)
        conversation = self._conversations.get(key)
        if conversation is None:
            conversation = Conversation(lambda: self._conversations.pop(key))
            self._conversations[key] = conversation
        conversation.enter()
        conversation.arrived = number = conversation.arrived + 1
        try:
            async with conversation.turn:
                if not self._closed and not await conversation.answer(event, number):
                    await self._offer(event, conversation)
        finally:
            conversation.leave()

    async def _offer(self, event: MessageEvent, conversation: Conversation) -> None:
        for _, some in groupby(self._handlers, key=lambda handler: handler.priority):
            calls = [self._try(handler, event, conversation) for handler in some]
            blocks = await asyncio.gather(*calls) if len(calls) > 1 else [await calls[0]]
            if any(blocks) or self._closed:
                return

    async def _try(self, handler: Handler, event: MessageEvent, conversation: Conversation) -> bool:
        """Call a handler if it takes an event, until it is at rest. Return whether it blocks."""
        try:
            found = await handler.takes(event)
        except Exception as error:
            who = Phrase("{who}: a rule or permission", who=handler.title)
            self._report(who, event, error)
            return False
        if found is None:
            return False
        run = Run(conversation, asyncio.get_running_loop())
        calling = self._call(handler, event._for(run, **found))
        task = run.loop.create_task(calling, name=f"liteyuki-{handler.title.english}")
        self._runs[task] = run
        conversation.enter()

        def ended(task: asyncio.Task[None]) -> None:
            del self._runs[task]
            run.at_rest.set()
            conversation.leave()

        task.add_done_callback(ended)
        await run.at_rest.wait()
        return handler.block

    async def _call(self, handler: Handler, event: MessageEvent) -> None:
        try:
            await handler.call(event, self._dispatcher.threads)
        except EXITS as error:
            self._dispatcher.exit(handler.title, error)
        except Exception as error:
            self._report(handler.title, event, error)

    def _report(self, who: Phrase, event: MessageEvent, error: Exception) -> None:
        log.logger.opt(exception=error).error(
            say(
                "{who} raised {error!r} for a message in {scene} of bot {bot}",
                who=who,
                error=error,
                scene=event.scene,
                bot=event.bot.id,
            )
        )
