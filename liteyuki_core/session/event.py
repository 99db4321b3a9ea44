"""A message event as handlers in the main process get it.

All of it is plain data. What a method does is done by `Calls`, which ask the child that the bot is
connected to, and by the `Turn` of the handler that was given the event.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, TypeAlias

from ..errors import LiteyukiError, WouldBlockLoop
from .exchange import CallApi, Request, Send

SceneType: TypeAlias = Literal["private", "group", "channel"]


@dataclass(frozen=True)
class Segment:
    """A part of a message. `type` and `data` are what the adapter calls them.

    For OneBot v11 they are those of OneBot, such as "image" with {"file": "https://..."}. For other
    adapters they are the segments of UniMessage, such as "image" with {"url": "https://..."}. A
    text is "text" with {"text": "..."} everywhere.
    """

    type: str
    data: dict[str, Any] = field(default_factory=dict)


Sendable: TypeAlias = str | Segment | Iterable[str | Segment]
"""What can be sent: a text, a segment, or several of both."""


@dataclass(frozen=True)
class Scene:
    """Where people talk: the id of a user ("private"), of a group or of a channel.

    `parent` is what a channel belongs to, such as a guild; "" if there is none.
    """

    type: SceneType
    id: str
    parent: str = ""

    def __str__(self) -> str:
        return f"{self.type} {self.parent}/{self.id}" if self.parent else f"{self.type} {self.id}"


@dataclass(frozen=True)
class User:
    """Who sent a message.

    `role` is "owner", "admin" or "member" in a group, another role's name as the adapter has it,
    or "". `superuser` is whether NoneBot's SUPERUSERS has the user.
    """

    id: str
    name: str = ""
    role: str = ""
    superuser: bool = False


class Caller(Protocol):
    """Who passes requests on to children, as a bot sees it."""

    async def call(self, process: str, request: Request) -> Any:
        """Have a child do what is requested. Return the result."""


@dataclass(frozen=True)
class Bot:
    """A bot that is connected to NoneBot in the child `process`."""

    adapter: str
    """The adapter's name, such as "OneBot V11"."""
    id: str
    process: str
    _caller: Caller | None = field(default=None, repr=False, compare=False)

    async def call_api(self, name: str, /, **params: Any) -> Any:
        """Call an API of the bot in its child; return the result as plain data.

        Waits until the API has answered. If the child crashes meanwhile, its successor calls the
        API again. If the bot is not connected, waits 10 s for it. On LiteyukiBot's loop.

        Raises `RemoteError`, with the name and the message of what the adapter has raised there,
        and `BotNotConnected`.
        """
        return await self._ask(CallApi(self.adapter, self.id, name, params))

    async def _ask(self, request: Request) -> Any:
        if self._caller is None:
            raise LiteyukiError(
                f"bot {self.id} is a copy or was made by hand, so nobody can be asked for it"
            )
        return await self._caller.call(self.process, request)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_caller": None}


class Turn(Protocol):
    """One call of a handler, as its event sees it."""

    loop: asyncio.AbstractEventLoop

    async def prompt(
        self, event: MessageEvent, question: Coroutine[Any, Any, Any] | None, timeout: float | None
    ) -> MessageEvent:
        """Ask `question`, then wait for the next message of the event's user there."""


@dataclass(frozen=True, eq=False)
class MessageEvent:
    """A message that somebody has sent where a bot is.

    `time` is in seconds since 1970. `raw` is the adapter's event as plain data. `text` is the text
    of all segments together. `to_me` is whether the message was meant for the bot: as NoneBot
    decides it, which has taken the mention or the nickname out of `segments` then.

    An event may be sent through a channel. What comes there is a copy: data alone, without `match`.

    The handler of a command finds that in `command` and the text after it in `arguments`; the
    handler of a pattern finds what was matched in `match`.
    """

    adapter: str
    bot: Bot
    scene: Scene
    user: User
    segments: list[Segment]
    text: str
    raw: dict[str, Any]
    time: float
    id: str = ""
    to_me: bool = False
    command: tuple[str, ...] = ()
    arguments: str = ""
    match: re.Match[str] | None = None
    _address: dict[str, Any] | None = field(default=None, repr=False)
    _turn: Turn | None = field(default=None, repr=False)

    async def reply(self, message: Sendable, *, at: bool = False, quote: bool = False) -> Any:
        """Send a message to where this one came from; return what the adapter returned.

        `at` mentions the user, except in a private scene. `quote` quotes this message. Waits and
        raises as `Bot.call_api` does. Raises `TypeError` for what can't be sent.
        """
        who = self.user.id if at and self.scene.type != "private" else ""
        quoted = self.id if quote else ""
        return await self._send(self.scene, message, who, quoted, self._address)

    async def send_to(self, scene: Scene, message: Sendable) -> Any:
        """Send a message somewhere else by the same bot; return what the adapter returned.

        Waits and raises as `reply` does.
        """
        return await self._send(scene, message, "", "", None)

    async def prompt(
        self, message: Sendable | None = None, timeout: float | None = None
    ) -> MessageEvent:
        """Reply with a question, if one is given; return this user's next message there.

        Waits up to `timeout` seconds (None: for ever). No other handler is offered that message.
        Meanwhile the conversation goes on: all other messages are handled as ever.

        Raises `PromptTimeout`, and what `reply` raises. A handler that goes on after a timeout does
        so beside whatever else is handled there.
        """
        if self._turn is None:
            raise LiteyukiError("this event is a copy or was made by hand: nobody can answer it")
        question = None if message is None else self.reply(message)
        return await self._turn.prompt(self, question, timeout)

    def wait(self, doing: Coroutine[Any, Any, Any]) -> Any:
        """In a sync handler: wait for what `reply`, `prompt` and the like return.

        As in `event.wait(event.reply("hello"))`. Raises what they raise, and `WouldBlockLoop` on a
        thread that runs an event loop: in an async handler, `await` them.
        """
        loop = None if self._turn is None else self._turn.loop
        if loop is None or asyncio._get_running_loop() is not None:
            doing.close()
            raise WouldBlockLoop(
                "event.wait() is for sync handlers, which run in a thread; in an async one write "
                "`await event.reply(...)`"
            )
        return asyncio.run_coroutine_threadsafe(doing, loop).result()

    async def _send(
        self,
        scene: Scene,
        message: Sendable,
        at: str,
        quote: str,
        address: dict[str, Any] | None,
    ) -> Any:
        segments = [(part.type, part.data) for part in _segments(message)]
        place = (scene.type, scene.id, scene.parent)
        return await self.bot._ask(
            Send(self.adapter, self.bot.id, place, segments, at, quote, address)
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_turn": None, "match": None}

    def _for(self, turn: Turn, **found: Any) -> MessageEvent:
        """Return this event as one call of a handler gets it."""
        return replace(self, _turn=turn, **found)


def _segments(message: Sendable) -> list[Segment]:
    parts = [message] if isinstance(message, str | Segment) else list(message)
    segments = []
    for part in parts:
        if isinstance(part, str):
            part = Segment("text", {"text": part})
        if not isinstance(part, Segment):
            raise TypeError(f"a message is made of texts and Segments, not {type(part).__name__}")
        segments.append(part)
    return segments
