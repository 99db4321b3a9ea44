"""Message events of any adapter that UniMessage and Uninfo know, as plain data.

Imported only where the plugins nonebot_plugin_alconna and nonebot_plugin_uninfo are loaded.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from nonebot.adapters import Bot, Event
from nonebot_plugin_alconna.uniseg import Target, UniMessage, get_message_id, get_target
from nonebot_plugin_uninfo import SceneType, Session, get_session

from liteyuki_core.session.exchange import Send

from .plain import plain

_ROLES = {"OWNER": "owner", "ADMINISTRATOR": "admin", "MEMBER": "member"}


async def described(bot: Bot, event: Event) -> dict[str, Any]:
    """Return the fields of a `Forwarded` that depend on the adapter.

    May wait for the adapter's API, which Uninfo asks for names. Raises `LookupError` if Uninfo
    does not know the adapter.
    """
    segments = UniMessage.of(event.get_message(), bot).dump(media_save_dir=True)
    session = await get_session(bot, event)
    if session is None:
        raise LookupError(f"Uninfo does not know the adapter {bot.adapter.get_name()}")
    member, user = session.member, session.user
    role = member.role if member is not None else None
    name = (member and member.nick) or user.nick or user.name or ""
    return {
        "scene": _scene(session),
        "user": (user.id, name, "" if role is None else _ROLES.get(role.id, role.id)),
        "segments": [
            (each["type"], plain({key: data for key, data in each.items() if key != "type"}))
            for each in segments
        ],
        "time": _time(event),
        "id": get_message_id(event, bot),
        "address": plain(get_target(event, bot).dump()),
    }


async def send(bot: Bot, request: Send) -> Any:
    """Send a message; return what the adapter has returned. Raises what the adapter raises."""
    if request.address is not None:
        target = Target.load(dict(request.address))
    else:
        kind, scene, parent = request.scene
        target = Target(scene, parent, channel=kind == "channel", private=kind == "private")
    message = UniMessage.load([{"type": kind, **data} for kind, data in request.segments])
    receipt = await message.send(
        target, bot, at_sender=request.at or False, reply_to=request.quote or False
    )
    return receipt.msg_ids


def _scene(session: Session) -> tuple[str, str, str]:
    scene = session.scene
    parent = scene.parent.id if scene.parent is not None else ""
    if scene.type == SceneType.PRIVATE:
        return "private", session.user.id, ""  # With some adapters the scene has an id of its own.
    return "group" if scene.type == SceneType.GROUP else "channel", scene.id, parent


def _time(event: Event) -> float:
    """Return when the message was sent, as far as the adapter says; otherwise the time now."""
    for name in ("time", "timestamp"):
        found = getattr(event, name, None)
        if isinstance(found, datetime):
            return found.timestamp()
        if isinstance(found, int | float):
            return float(found)
    return time.time()
