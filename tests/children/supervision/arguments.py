"""A child that gets channels among its arguments, and what a dead child has written last."""

from __future__ import annotations

import os
from typing import Any

from liteyuki_core import Channel, LiteyukiBot, Queue, get_channel
from liteyuki_core.comm import set_channel
from liteyuki_core.errors import ChannelBroken, ProcessStartError
from tests.children import acting
from tests.children.acting import NEVER, QUICK, say, until


def serves(channel: Channel[Any], more: dict[str, Any], *, out: Queue[Any]) -> None:
    """Answer on each channel; die when it is told to."""
    out.send(("serves", more["named"] == get_channel("named"), more["twice"] == channel))
    for data in channel:
        if data == "die":
            os._exit(9)
        channel.send((os.getpid(), data))
        more["named"].send(data)


def channels() -> None:
    """Those that are given to a child: each of its processes has their other ends."""
    bot = LiteyukiBot()
    unnamed, named, out = Channel[Any](), Channel[Any]("named"), Queue[Any]("out")
    set_channel("named", named)
    more = {"named": named, "twice": unnamed}
    bot.add_process("serves", serves, (unnamed, more), {"out": out}, restart=QUICK)
    child = bot.processes["serves"]

    async def act() -> None:
        for life in range(3):
            assert await out.async_receive(20) == ("serves", True, True)
            unnamed.send(life)
            # What a process had handled just before it died may come again to the next one.
            while (answer := await unnamed.async_receive(20))[1] != life:
                assert answer[1] == life - 1
            assert answer[0] == child.pid
            while (data := await named.async_receive(20)) != life:
                assert data == life - 1
            if life == 0:
                bot.restart_process("serves")
            elif life == 1:
                unnamed.send("die")
        try:
            closed = Channel[Any]()
            closed.close()
            bot.add_process("another", serves, (closed,))
        except ProcessStartError as error:
            say(f"> {error}")

    acting.main(bot, act)


def last_words() -> None:
    """Write two lines and die."""
    say("first")
    say("\x1b[31mlast\x1b[0m")
    get_channel("last_words-active").send("sent")
    os._exit(9)


def reads() -> None:
    """Say what another child's channel raises."""
    try:
        get_channel("last_words-passive").receive(20)
    except ChannelBroken as error:
        get_channel("reads-active").send(error)


def broken() -> None:
    """The channels of a child that is given up, in the main process and in another child."""
    bot = LiteyukiBot()
    bot.add_process("reads", reads)
    bot.add_process("last_words", last_words, restart=NEVER)
    channel, other = get_channel("last_words-active"), get_channel("reads-active")

    async def act() -> None:
        assert await channel.async_receive(20) == "sent"
        try:
            await channel.async_receive(20)
        except ChannelBroken as error:
            assert error.lines[-2:] == ("first", "last"), error.lines
        await until(lambda: channel.stats()["received"] == 1, "it was received")
        told = await other.async_receive(20)
        assert type(told) is ChannelBroken
        assert told.lines[-2:] == ("first", "last"), told.lines
        assert "first" not in str(told)

    acting.main(bot, act)
