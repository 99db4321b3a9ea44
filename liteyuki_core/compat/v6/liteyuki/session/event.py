"""A message event of v6, of 6.3.16 and branch v6. `reply` is sync and waits for nothing."""

from __future__ import annotations

import asyncio
from typing import Any, TypeAlias

from liteyuki_core.language import say
from liteyuki_core.session import MessageEvent as CoreEvent
from liteyuki_core.session import Segment

from ..comm.storage import shared_memory
from ..log import logger

__all__ = ["MessageEvent"]

Message: TypeAlias = str | dict[str, Any] | list[Any]
"""A text, a segment, or several of both."""


class MessageBase:
    """What the events of all generations have in common. Plain data, but for `receive_channel`.

    `receive_channel` is where an answer goes: the name of a topic of the store, a channel, or None.
    """

    def __init__(
        self,
        bot_id: str,
        message: Message,
        message_type: str,
        raw_message: str,
        session_id: str,
        user_id: str,
        session_type: str,
        receive_channel: Any = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        self.bot_id = bot_id
        self.message = message
        self.message_type = message_type
        self.raw_message = raw_message
        self.session_id = session_id
        self.user_id = user_id
        self.session_type = session_type
        self.receive_channel = receive_channel
        self.data = {} if data is None else data

    def __str__(self) -> str:
        return (
            f"{type(self).__name__}(bot_id={self.bot_id}, session_type={self.session_type}, "
            f"session_id={self.session_id}, raw_message={self.raw_message!r:.200})"
        )

    def reply(self, message: Message) -> None:
        """Send an answer to where the message came from. From any thread; never waits."""
        to = self.receive_channel
        if isinstance(to, str):
            shared_memory.publish(to, self._answer(message))
        elif to is not None:
            to.send(self._answer(message))

    def _answer(self, message: Message) -> Any:
        raise NotImplementedError


class MessageEvent(MessageBase):
    """A message, as 6.3.16 has it."""

    def _answer(self, message: Message) -> Any:
        return MessageEvent(
            self.bot_id,
            message,
            self.session_type,
            "",
            self.session_id,
            self.user_id,
            self.session_type,
            None,
            {"message": message},
        )


class Answers:
    """Where answers go to a message that liteyuki_core has brought: back through it."""

    def __init__(self, event: CoreEvent, loop: asyncio.AbstractEventLoop) -> None:
        self._event = event
        self._loop = loop

    def send(self, answer: MessageEvent) -> None:
        """Send an answer. From any thread; never waits. The log says what went wrong."""
        asyncio.run_coroutine_threadsafe(self._send(answer.message), self._loop)

    async def _send(self, message: Message) -> None:
        try:
            await self._event.reply(_sendable(message))
        except Exception as error:
            logger.opt(exception=error).error(
                say(
                    "the reply to {scene} could not be sent: {error!r}",
                    scene=self._event.scene,
                    error=error,
                )
            )


def _sendable(message: Any) -> Any:
    if isinstance(message, dict):
        return Segment(str(message.get("type", "")), dict(message.get("data") or {}))
    if isinstance(message, list | tuple):
        return [_sendable(part) for part in message]
    return str(message)


def from_core(event: CoreEvent, loop: asyncio.AbstractEventLoop) -> MessageEvent:
    """Return a message that liteyuki_core has brought as v6 describes one."""
    segments = [{"type": part.type, "data": part.data} for part in event.segments]
    kind = event.scene.type
    return MessageEvent(
        event.bot.id,
        segments,
        kind,
        str(event.raw.get("raw_message", event.text)),
        event.scene.id,
        event.user.id,
        kind,
        Answers(event, loop),
        event.raw,
    )
