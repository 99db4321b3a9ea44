"""Message events of OneBot v11 as plain data, and messages to send."""

from __future__ import annotations

from typing import Any

from nonebot.adapters.onebot.v11 import Bot, GroupMessageEvent, Message, MessageEvent
from nonebot.adapters.onebot.v11 import MessageSegment as Segment

from liteyuki_core.session.exchange import Send

from .plain import plain

ADAPTER = "OneBot V11"


def described(event: MessageEvent) -> dict[str, Any]:
    """Return the fields of a `Forwarded` that depend on the adapter."""
    sender = event.sender
    role = ""
    if isinstance(event, GroupMessageEvent):
        scene = ("group", str(event.group_id), "")
        role = sender.role or ""
    else:
        scene = ("private", str(event.user_id), "")
    return {
        "scene": scene,
        "user": (str(event.user_id), sender.card or sender.nickname or "", role),
        "segments": [(segment.type, plain(segment.data)) for segment in event.message],
        "time": float(event.time),
        # Implementations that give messages no id give them this one.
        "id": str(event.message_id or ""),
        "address": None,
    }


async def send(bot: Bot, request: Send) -> Any:
    """Send a message; return what the API has returned. Raises what the adapter raises."""
    kind, scene, _ = request.scene
    message = Message()
    if request.quote:
        message += Segment.reply(int(request.quote))
    if request.at:
        message += Segment.at(request.at) + " "
    message += [Segment(name, dict(data)) for name, data in request.segments]
    if kind == "private":
        return await bot.send_msg(message_type="private", user_id=int(scene), message=message)
    if kind == "group":
        return await bot.send_msg(message_type="group", group_id=int(scene), message=message)
    raise ValueError(f"OneBot v11 has private scenes and groups, and none of the type {kind!r}")
