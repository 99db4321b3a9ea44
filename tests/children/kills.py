"""Children that are stopped, killed or crash, each in a situation of its own."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import threading
import time
from typing import Any

from liteyuki_core import Channel, ChannelBroken, LiteyukiBot, get_channel
from liteyuki_core.comm import active_channel, passive_channel, set_channel
from liteyuki_core.process import ProcessState, RestartPolicy
from tests.children import acting
from tests.children.acting import AGAIN, say, until

# ------------------------------------------------------------- stopped and started


def takes_its_time() -> None:
    passive_channel.send(("up", os.getpid()))
    for data in active_channel:
        passive_channel.send((data, os.getpid()))
        if data == "take your time":
            time.sleep(0.3)


def stop_and_start() -> None:
    bot = LiteyukiBot()
    bot.add_process("w", takes_its_time)

    async def act() -> None:
        process = bot.processes["w"]
        active, passive = get_channel("w-active"), get_channel("w-passive")
        _, first = await passive.async_receive(20)
        for data in ("take your time", "kept"):
            await active.async_send(data)
        await passive.async_receive(20)
        bot.stop_process("w")
        await until(lambda: process.state is ProcessState.STOPPED, "stopped")
        try:
            active.send("refused")
        except ConnectionError:
            say("broken")
        except Exception as error:
            say(f"refused: {type(error).__name__} {error}")
        bot.start_process("w")
        bot.start_process("w")
        got = [await passive.async_receive(20) for _ in range(2)]
        assert [data for data, _ in got] == ["up", "kept"], got
        assert got[1][1] == process.pid != first
        for name in ("start_process", "stop_process", "restart_process"):
            try:
                getattr(bot, name)("nobody")
            except KeyError as error:
                say(f"{type(error).__name__} {error}")

    acting.main(bot, act)


# ------------------------------------------------------------- its channel is closed


def uses_active() -> None:
    for data in passive_channel:
        try:
            active_channel.send(data)
        except Exception as error:
            passive_channel.send(type(error).__name__)
        else:
            passive_channel.send("sent")


# ------------------------------------------------------------- big messages

SIZE = 10_000_000


def block(number: int) -> bytes:
    return bytes([number]) * SIZE


def returns_blocks() -> None:
    for number, data in active_channel:
        assert data == block(number)
        passive_channel.send((number, data))


def big_messages() -> None:
    count = 12
    bot = LiteyukiBot()
    bot.add_process("w", returns_blocks, restart=AGAIN)

    async def act() -> None:
        process = bot.processes["w"]
        active, passive = get_channel("w-active"), get_channel("w-passive")
        handled: list[int] = []

        @passive.on_receive(ordered=True)
        async def back(message: Any) -> None:
            number, data = message
            assert data == block(number), (number, len(data))
            handled.append(number)

        async def send() -> None:
            for number in range(count):
                await active.async_send((number, block(number)))

        sending = asyncio.ensure_future(send())
        for turn in range(4):
            pid, seen = process.pid, len(handled)
            await until(lambda: process.state is ProcessState.RUNNING, "running")
            await until(lambda: len(handled) > seen or len(set(handled)) == count, f"turn {turn}")
            await asyncio.sleep(random.random() / 50)
            acting.kill(process.pid)
            await until(lambda: process.pid not in (None, pid), "a successor")
        await sending
        await until(lambda: set(handled) == set(range(count)), "every block was handled")

    acting.main(bot, act)


# ------------------------------------------------------------- never to come back


def dies_of_a_message() -> None:
    active_channel.send(os.getpid())
    active_channel.receive()
    os._exit(9)


def fine() -> None:
    for data in active_channel:
        active_channel.send(data)


def use(channel: Channel[object]) -> None:
    got = []
    try:
        while True:
            got.append(channel.receive(20))
    except ChannelBroken as error:
        say(f"{len(got)} received, then {error}")
    try:
        channel.send("too late")
    except ChannelBroken as error:
        say(f"send: {error}")


async def async_use(channel: Channel[object]) -> None:
    got = []
    try:
        while True:
            got.append(await channel.async_receive(20))
    except ChannelBroken as error:
        say(f"{len(got)} received, then {error}")
    try:
        await channel.async_send("too late")
    except ChannelBroken as error:
        say(f"send: {error}")


def given_up() -> None:
    """The first argument is the door."""
    bot = LiteyukiBot()
    bot.add_process("w", dies_of_a_message, restart=RestartPolicy(max_restarts=2, backoff=0.01))
    bot.add_process("fine", fine)

    async def act() -> None:
        channel = get_channel("w-active")
        for _ in range(4):
            channel.send("die")
        if sys.argv[1:] == ["sync"]:
            await asyncio.to_thread(use, channel)
        else:
            await async_use(channel)
        process = bot.processes["w"]
        assert (process.state, process.exitcode, process.restarts) == (ProcessState.FAILED, 9, 2)
        other = get_channel("fine-active")
        await other.async_send("still")
        assert await other.async_receive(20) == "still"

    acting.main(bot, act)


# ------------------------------------------------------------- a message that kills


def can_be_poisoned() -> None:
    if sys.argv[1:]:
        raise AssertionError("children get no arguments of main's")

    @active_channel.on_receive()
    async def handle(data: Any) -> None:
        if data == "poison" and not os.path.exists("cured"):
            os._exit(11)
        await passive_channel.async_send(data)

    threading.Event().wait()


def poison() -> None:
    bot = LiteyukiBot()
    bot.add_process("w", can_be_poisoned, restart=AGAIN)

    async def act() -> None:
        active, passive = get_channel("w-active"), get_channel("w-passive")
        for data in (1, 2, "poison", 3, 4):
            await active.async_send(data)
        got: set[int] = set()
        while not {1, 2, 3, 4} <= got:
            got.add(await passive.async_receive(30))
        (letter,) = bot.dead_letters()
        say(letter)
        assert bot.processes["w"].restarts == 3
        assert active.stats()["dropped"] == 1, active.stats()
        assert bot.channels["w-active"]["dropped"] == 1
        open("cured", "w").close()
        letter.put_back()
        while (data := await passive.async_receive(30)) != "poison":
            assert data in (1, 2, 3, 4)
        assert bot.dead_letters() == []

    acting.main(bot, act)


# ------------------------------------------------------------- from child to child

COUNT = 2000


def maker() -> None:
    jobs: Channel[int] = Channel("jobs", capacity=32)
    set_channel("jobs", jobs)
    active_channel.send("jobs")
    active_channel.receive()
    for number in range(COUNT):
        jobs.send(number)
    active_channel.receive()


def taker() -> None:
    active_channel.receive()
    for number in get_channel("jobs"):
        passive_channel.send((os.getpid(), number))


def child_to_child() -> None:
    bot = LiteyukiBot()
    bot.add_process("maker", maker)
    bot.add_process("taker", taker, restart=AGAIN)

    async def act() -> None:
        process, kills = bot.processes["taker"], int(sys.argv[1])
        handled: list[int] = []
        maker, taker = get_channel("maker-active"), get_channel("taker-active")
        assert await maker.async_receive(20) == "jobs"

        @get_channel("taker-passive").on_receive(ordered=True)
        async def back(pair: tuple[int, int]) -> None:
            handled.append(pair[1])

        await taker.async_send("go")
        await maker.async_send("go")
        for turn in range(kills):
            pid, seen = process.pid, len(handled)
            await until(lambda: len(handled) > seen + 20 or len(set(handled)) == COUNT, f"{turn}")
            acting.kill(pid)
            await until(lambda: process.pid not in (None, pid), "a successor")
            await taker.async_send("go")
        await until(lambda: set(handled) == set(range(COUNT)), "every job was handled")
        assert len(handled) - COUNT <= kills * 32, len(handled)
        await maker.async_send("end")

    acting.main(bot, act)
