"""Whoever got a message sees what was set before it was sent: from main, to main, between two."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from liteyuki_core import Channel, LiteyukiBot, get_channel, shared_memory
from liteyuki_core.comm import active_channel, passive_channel, set_channel
from tests.children import acting
from tests.children.acting import NEVER
from tests.children.consistency.parties import NAMES, done, finish, together

THREE = NAMES[:3]
STREAM, GAME = 1500, 300


class Side:
    """One end of a channel; `mine` is the key that it sets, `theirs` the other's."""

    def __init__(self, channel: Channel[Any], mine: str, theirs: str, begins: bool) -> None:
        self.channel, self.mine, self.theirs, self.begins = channel, mine, theirs, begins

    def expect(self, told: int, seen: Any, fits: bool) -> None:
        assert fits, f"{self.channel}: {told} was set and sent, and {self.theirs} is {seen}"

    def next_keys(self) -> None:
        # The other side may not yet have heard all of the stream.
        self.mine, self.theirs = f"{self.mine}, game", f"{self.theirs}, game"

    def sync(self) -> None:
        together(self.tell, self.hear)
        self.next_keys()
        for number in range(1, GAME):
            if self.begins:
                self.put(number)
                self.channel.send(number)
            told = self.channel.receive(60)
            seen = shared_memory.get(self.theirs)
            self.expect(told, seen, seen == (told if number % 3 else None))
            if not self.begins:
                self.put(number)
                self.channel.send(number)

    def put(self, number: int) -> None:
        if number % 3:
            shared_memory[self.mine] = number
        else:
            del shared_memory[self.mine]

    def tell(self) -> None:
        for number in range(1, STREAM):
            shared_memory[self.mine] = number
            self.channel.send(number)

    def hear(self) -> None:
        for number in range(1, STREAM):
            told = self.channel.receive(60)
            seen = shared_memory.get(self.theirs)
            self.expect(told, seen, told == number <= seen)

    async def other_door(self) -> None:
        await asyncio.gather(self.async_tell(), self.async_hear())
        self.next_keys()
        for number in range(1, GAME):
            if self.begins:
                await self.async_put(number)
                await self.channel.async_send(number)
            told = await self.channel.async_receive(60)
            seen = await shared_memory.async_get(self.theirs)
            self.expect(told, seen, seen == (told if number % 3 else None))
            if not self.begins:
                await self.async_put(number)
                await self.channel.async_send(number)

    async def async_put(self, number: int) -> None:
        if number % 3:
            await shared_memory.async_set(self.mine, number)
        else:
            await shared_memory.async_delete(self.mine)

    async def async_tell(self) -> None:
        for number in range(1, STREAM):
            await shared_memory.async_set(self.mine, number)
            await self.channel.async_send(number)

    async def async_hear(self) -> None:
        for number in range(1, STREAM):
            told = await self.channel.async_receive(60)
            seen = shared_memory.get(self.theirs)
            self.expect(told, seen, told == number <= seen)


def first() -> None:
    made: Channel[int] = Channel("made")
    set_channel("made", made)
    passive_channel.send("made")
    together(
        Side(active_channel, "a to main", "main to a", True).sync,
        Side(made, "a to b", "b to a", False).sync,
    )
    finish()


def second() -> None:
    passive_channel.receive(60)

    async def both() -> None:
        await asyncio.gather(
            Side(active_channel, "b to main", "main to b", False).other_door(),
            Side(get_channel("made"), "b to a", "a to b", True).other_door(),
        )

    asyncio.run(both())
    finish()


def third() -> None:
    heard: list[tuple[int, int]] = []

    @active_channel.on_receive(ordered=True)
    def hear(number: int) -> None:
        # Also in callbacks.
        heard.append((number, shared_memory.get("main to c")))
        if number == STREAM:
            assert all(told <= seen for told, seen in heard), heard
            passive_channel.send("done")

    threading.Event().wait()


async def to_callbacks() -> None:
    for number in range(1, STREAM + 1):
        shared_memory["main to c"] = number
        await get_channel("c-active").async_send(number)


async def act() -> None:
    made = await get_channel("a-passive").async_receive(20)
    await get_channel("b-passive").async_send(made)
    await asyncio.gather(
        Side(get_channel("a-active"), "main to a", "a to main", False).other_door(),
        asyncio.to_thread(Side(get_channel("b-active"), "main to b", "b to main", True).sync),
        to_callbacks(),
    )
    await done(THREE)


def main() -> None:
    bot = LiteyukiBot()
    for name, target in zip(THREE, (first, second, third), strict=True):
        bot.add_process(name, target, restart=NEVER)
    acting.main(bot, act)
