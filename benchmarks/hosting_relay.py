"""A NoneBot plugin that passes each group message on to main, and main's answer to the group."""

from __future__ import annotations

from nonebot import get_bot, on_message
from nonebot.adapters.onebot.v11 import GroupMessageEvent

from liteyuki_core.comm import active_channel


@on_message().handle()
async def _to_main(event: GroupMessageEvent) -> None:
    await active_channel.async_send(
        {
            "self_id": event.self_id,
            "group_id": event.group_id,
            "message_id": event.message_id,
            "text": event.get_plaintext(),
        }
    )


@active_channel.on_receive()
async def _from_main(answer: dict[str, str | int]) -> None:
    bot = get_bot(str(answer["self_id"]))
    await bot.send_msg(message_type="group", group_id=answer["group_id"], message=answer["message"])
