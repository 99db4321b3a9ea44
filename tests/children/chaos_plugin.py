"""The NoneBot plugin of chaos: it answers requests as the children in chaos.py do."""

from __future__ import annotations

from typing import Any

from liteyuki_core.comm import active_channel, passive_channel
from tests.children.chaos import async_meet


@active_channel.on_receive(ordered=True)
async def on_request(request: Any) -> None:
    answer = await async_meet(request)
    if answer is not None:
        await passive_channel.async_send(answer)
