"""Long messages that go from one child to another and on to main."""

from __future__ import annotations

import pickle
from typing import Any

from liteyuki_core import Channel, LiteyukiBot, get_channel
from liteyuki_core.comm import active_channel, passive_channel, set_channel

SIZE = 10_000_000


class Array:
    """Pickles with a buffer beside it, as arrays do."""

    def __init__(self, buffer: Any) -> None:
        self.buffer = buffer

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Array, (pickle.PickleBuffer(self.buffer),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Array) and bytes(self.buffer) == bytes(other.buffer)


def maker() -> None:
    wide: Channel[Any] = Channel("wide", capacity=4)
    set_channel("wide", wide)
    passive_channel.send("made")
    for i in range(8):
        wide.send(Array(bytearray([i]) * SIZE))
    assert wide.receive() == "all"


def taker() -> None:
    active_channel.receive()
    wide = get_channel("wide")
    for i in range(8):
        got = wide.receive().buffer
        assert type(got) is bytearray and len(got) == SIZE and set(got) == {i}, i
        active_channel.send(bytes(got))
    wide.send("all")


def main() -> None:
    bot = LiteyukiBot()
    bot.add_process("maker", maker)
    bot.add_process("taker", taker)

    @bot.on_after_start
    async def check() -> None:
        await get_channel("maker-passive").async_receive()
        channel = get_channel("taker-active")
        await channel.async_send("go")
        for i in range(8):
            got = await channel.async_receive(20)
            assert type(got) is bytes and len(got) == SIZE and set(got) == {i}, i
        print("all came", flush=True)

    bot.run()
