"""The events of 6.3.6 to 6.3.8, and of 6.3.9. They are answered over a topic of the store."""

from __future__ import annotations

from typing import Any

from ..session.event import Message, MessageBase

__all__ = ["Event", "MessageEvent"]


class MessageEvent(MessageBase):
    """A message, as 6.3.9 has it: without `user_id`, and with the name of a topic for replies."""

    def __init__(
        self,
        bot_id: str,
        message: Message,
        message_type: str,
        raw_message: str,
        session_id: str,
        session_type: str,
        receive_channel: Any = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        user = (data or {}).get("user_id", session_id if session_type == "private" else "")
        super().__init__(
            bot_id,
            message,
            message_type,
            raw_message,
            session_id,
            str(user),
            session_type,
            receive_channel,
            data,
        )

    def _answer(self, message: Message) -> MessageEvent:
        return MessageEvent(
            self.bot_id,
            message,
            self.session_type,
            "",
            self.session_id,
            self.session_type,
            "_",
            {"message": message},
        )


class Event(MessageBase):
    """A message, as 6.3.6 to 6.3.8 have it: `data` is the adapter's event."""

    def __init__(
        self,
        type: str,
        data: dict[str, Any],
        bot_id: str,
        session_id: str,
        session_type: str,
        receive_channel: Any = "event_to_nonebot",
    ) -> None:
        self.type = type
        super().__init__(
            bot_id,
            data.get("message", ""),
            type,
            str(data.get("raw_message", "")),
            session_id,
            str(data.get("user_id", "")),
            session_type,
            receive_channel,
            data,
        )

    def _answer(self, message: Message) -> Event:
        return Event(
            self.session_type,
            {"message": message},
            self.bot_id,
            self.session_id,
            self.session_type,
            "_",
        )
