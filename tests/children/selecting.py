"""A main process that selects from two children; one of them ends meanwhile."""

from __future__ import annotations

from liteyuki_core import LiteyukiBot, get_channel
from liteyuki_core.comm import active_channel, async_select, passive_channel, select


def answers() -> None:
    for channel, data in select(active_channel, passive_channel):
        channel << data + 1


def ends() -> None:
    for i in range(3):
        active_channel << i


def main() -> None:
    bot = LiteyukiBot()
    bot.add_process("answers", answers)
    bot.add_process("ends", ends)
    names = ["answers-active", "answers-passive", "ends-active"]
    channels = [get_channel(name) for name in names]

    @bot.on_after_start
    async def serve() -> None:
        got: dict[str | None, list[int]] = {name: [] for name in names}
        for i in range(20):
            for channel in channels[:2]:
                channel << i
        async for channel, data in async_select(*channels, timeout=20):
            got[channel.name].append(data)
            if sum(map(len, got.values())) == 43:
                break
        assert got["answers-active"] == got["answers-passive"] == list(range(1, 21))
        print("ends sent", got["ends-active"], flush=True)
        async for item in async_select(channels[2], timeout=20):
            print("more", item, flush=True)
        print("served", flush=True)
        bot.stop()

    bot.run()
