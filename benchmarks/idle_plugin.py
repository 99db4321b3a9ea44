"""The NoneBot plugin of an idle bot: it answers on its channel which threads there are."""

from __future__ import annotations

from typing import Any

from idle_bot import threads

from liteyuki_core.comm import active_channel


@active_channel.on_receive()
async def _answer(_: Any) -> None:
    await active_channel.async_send(threads())
