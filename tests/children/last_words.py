"""Children that end while others wait for them, and messages that nobody reads or takes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time

from liteyuki_core import Channel, ChannelBroken, ChannelClosed, LiteyukiBot, get_channel
from liteyuki_core.comm import active_channel, passive_channel, set_channel
from tests.children import acting
from tests.children.acting import NEVER, say, until

# ------------------------------------------------------------- an answerer ends


def drops() -> None:
    for reply in active_channel:
        reply.send("first")
        del reply
        active_channel.send("dropped")


def returns() -> None:
    reply = active_channel.receive()
    reply.send("first")


def raises() -> None:
    reply = active_channel.receive()
    reply.send("first")
    raise ZeroDivisionError("as the test wants it")


async def raises_async() -> None:
    reply = await active_channel.async_receive()
    await reply.async_send("first")
    raise ZeroDivisionError("as the test wants it")


def exits() -> None:
    reply = active_channel.receive()
    reply.send("first")
    raise SystemExit(7)


def dies() -> None:
    reply = active_channel.receive()
    reply.send("first")
    active_channel.send("ready to die")
    time.sleep(60)


ENDS = {
    drops: ChannelClosed,
    returns: ChannelClosed,
    raises: ChannelBroken,
    raises_async: ChannelBroken,
    exits: ChannelBroken,
    dies: ChannelBroken,
}


async def ask(bot: LiteyukiBot, name: str, error: type[Exception], way: str) -> None:
    reply: Channel[object] = Channel()
    got: list[object] = []
    if way == "callback":
        reply.on_receive()(got.append)
    await get_channel(name).async_send(reply)
    if name == "dies-active":
        await get_channel(name).async_receive()
        acting.kill(bot.processes["dies"].pid)
    ended = None
    try:
        if way == "async":
            while True:
                got.append(await reply.async_receive(20))
        elif way == "sync":

            def receive() -> None:
                while True:
                    got.append(reply.receive(20))

            await asyncio.to_thread(receive)
        else:
            await until(lambda: reply._open().gone is not None, "its end")
            await until(lambda: got, "the answer")
            await reply.async_send("anybody?")
    except (ChannelClosed, ChannelBroken) as raised:
        ended = type(raised)
    assert ended is error, (name, way, ended)
    assert got == ["first"], (name, way, got)


def answerers() -> None:
    """The first argument is the way of receiving the answers."""
    way = sys.argv[1]
    bot = LiteyukiBot()
    for target in ENDS:
        bot.add_process(target.__name__, target, restart=NEVER)

    async def act() -> None:
        for target, error in ENDS.items():
            await bot.wait_ready(target.__name__)
            await ask(bot, f"{target.__name__}-active", error, way)

    acting.main(bot, act)


# ------------------------------------------------------------- messages that nobody reads


def deaf() -> None:
    active_channel.send("ready")
    threading.Event().wait()


def sends_jobs() -> None:
    for number in range(7):
        get_channel("jobs").send(number)
    passive_channel.send("done")
    threading.Event().wait()


def unread() -> None:
    bot = LiteyukiBot()
    jobs: Channel[int] = Channel("jobs")
    set_channel("jobs", jobs)
    bot.add_process("deaf", deaf)
    bot.add_process("sends", sends_jobs)

    async def act() -> None:
        await get_channel("deaf-active").async_receive()
        await get_channel("sends-passive").async_receive()
        for number in range(3):
            await get_channel("deaf-passive").async_send(number)
        await until(lambda: os.path.exists("go"), "go")

    acting.main(bot, act)


# ------------------------------------------------------------- messages that main does not take


def stops_main_and_sends() -> None:
    active_channel.receive()
    if sys.platform != "win32":
        os.kill(os.getppid(), signal.SIGSTOP)
    for number in range(1000):
        active_channel.send((number, "x" * 10_000))


def untaken() -> None:
    bot = LiteyukiBot()
    bot.add_process("sends", stops_main_and_sends, restart=NEVER)
    channel = get_channel("sends-active")

    async def act() -> None:
        await bot.wait_ready("sends")
        await channel.async_send("go")
        got = [number async for number, _ in channel]
        say("got", len(got), got == list(range(len(got))))

    acting.main(bot, act)


# ------------------------------------------------------------- messages of a child that exits


def sends_and_exits() -> None:
    for number in range(20):
        active_channel.send(number)
    os._exit(0)


def exiting() -> None:
    bot = LiteyukiBot()
    bot.add_process("exits", sends_and_exits, restart=NEVER)
    channel = get_channel("exits-active")

    async def act() -> None:
        assert [await channel.async_receive(20) for _ in range(20)] == list(range(20))

    acting.main(bot, act)
