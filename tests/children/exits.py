"""`sys.exit()` and KeyboardInterrupt in callbacks, of children and of the main process."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, NoReturn

from liteyuki_core import LiteyukiBot, get_channel, shared_memory
from liteyuki_core.comm import active_channel, passive_channel
from liteyuki_core.process import ProcessState, RestartPolicy
from liteyuki_core.process.child import leaving
from tests.children import acting
from tests.children.acting import NEVER, say, until

AGAIN = RestartPolicy("always", backoff=0.01, max_backoff=0.01)
OVER = ProcessState.STOPPED, ProcessState.FAILED
ERRORS = {
    repr(error): error
    for error in (
        SystemExit(7),
        SystemExit(),
        SystemExit(0),
        SystemExit(False),
        SystemExit("why it ends"),
        KeyboardInterrupt(),
    )
}

# ------------------------------------------------------------- children


def raises(error: BaseException) -> NoReturn:
    raise error


def register(kind: str, error: BaseException) -> None:
    channel = passive_channel

    async def on_message(data: Any) -> None:
        raise error

    def on_message_sync(data: Any) -> None:
        raise error

    async def on_filter(data: Any) -> None:
        raise error

    async def starts_a_task(data: Any) -> None:
        asyncio.get_running_loop().call_soon(raises, error)

    async def others(data: Any) -> None:
        await asyncio.sleep(0)

    if kind == "async":
        channel.on_receive()(on_message)
    elif kind == "sync":
        channel.on_receive(ordered=True)(on_message_sync)
    elif kind == "several":
        channel.on_receive()(others)
        channel.on_receive(lambda data: True, concurrency=2)(on_message)
    elif kind == "filter":
        channel.on_receive(filter_func=on_filter)(others)
    elif kind == "watch":
        shared_memory.watch("watched")(on_message)
    elif kind == "topic":
        shared_memory.on_subscriber_receive("topic")(on_message_sync)
    elif kind == "task":
        channel.on_receive()(starts_a_task)


async def runs() -> None:
    await asyncio.sleep(600)


def child(kind: str, place: str, error: BaseException) -> None:
    register(kind, error)
    active_channel.send("registered")
    if place == "receive":
        active_channel.receive()
    elif place == "for":
        for _ in active_channel:
            pass
    elif place == "loop":
        asyncio.run(runs())
    else:
        time.sleep(600)


def children() -> None:
    """The first argument is JSON: for each child a kind of callback, a place and an error."""
    bot = LiteyukiBot()
    for i, (kind, place, error) in enumerate(json.loads(sys.argv[1])):
        bot.add_process(f"w{i}", child, (kind, place, ERRORS[error]), restart=NEVER)

    async def act() -> None:
        for name in bot.processes:
            active, passive = get_channel(f"{name}-active"), get_channel(f"{name}-passive")
            assert await active.async_receive(20) == "registered"
            passive.send("end")
        shared_memory["watched"] = 1
        shared_memory.publish("topic", 1)
        for name, process in bot.processes.items():
            await until(lambda: process.state in OVER, f"the end of {name}")
        say("codes", [process.exitcode for process in bot.processes.values()])

    acting.main(bot, act)


# ------------------------------------------------------------- what goes to the successor


def exits_in_between(ordered: bool) -> None:
    life = shared_memory.incr("life")
    exits = asyncio.Event()

    @passive_channel.on_receive(ordered=ordered)
    async def on_message(data: Any) -> None:
        if data == "wait":
            active_channel.send((life, "waits"))
            await exits.wait()
            await asyncio.sleep(0.2)  # What it does takes a while: that is tested.
            active_channel.send((life, "has waited"))
            return
        active_channel.send((life, data))
        if data == life:
            exits.set()
            sys.exit(0 if data == 3 else 7)

    time.sleep(600)


def successors() -> None:
    """With the argument "ordered" the callbacks are."""
    ordered = sys.argv[1:] == ["ordered"]
    bot = LiteyukiBot()
    bot.add_process("w", exits_in_between, (ordered,), restart=AGAIN)

    async def act() -> None:
        got: list[tuple[int, Any]] = []
        get_channel("w-active").on_receive(ordered=True)(got.append)
        channel = get_channel("w-passive")
        for data in ("first", 1, 2, 3, "last"):
            if not ordered and data == 1:
                channel.send("wait")
            channel.send(data)
        await until(lambda: (4, "last") in got, lambda: f"all: {got}")
        waited = [pair for pair in got if "wait" in str(pair)]
        handled = [pair for pair in got if pair not in waited]
        assert waited == ([] if ordered else [(1, "waits"), (1, "has waited")]), got
        assert handled == [
            (1, "first"),
            (1, 1),
            (2, 1),
            (2, 2),
            (3, 2),
            (3, 3),
            (4, "last"),
        ], got

    acting.main(bot, act)


# ------------------------------------------------------------- a main thread that does not end


def stubborn() -> None:
    leaving._EXIT_SECONDS = 0.5
    register("async", SystemExit(7))
    while True:
        try:
            active_channel.send("registered")
            time.sleep(600)
        except KeyboardInterrupt:
            pass


def by_force() -> None:
    bot = LiteyukiBot()
    bot.add_process("w", stubborn, restart=NEVER)

    async def act() -> None:
        await get_channel("w-active").async_receive(20)
        get_channel("w-passive").send("end")
        await until(lambda: bot.processes["w"].state is ProcessState.FAILED, "its end")
        assert bot.processes["w"].exitcode == 7

    acting.main(bot, act)


# ------------------------------------------------------------- the main process


def counts() -> None:
    for number in range(3):
        active_channel.send(number)
    active_channel.receive()
    say("stopped in order")


def of_main() -> None:
    """Arguments: what is raised, and the callback's door."""
    error, door = ERRORS[sys.argv[1]], sys.argv[2]
    bot = LiteyukiBot()
    bot.add_process("w", counts)

    def on_message(data: object) -> None:
        say("got", data)
        raise error

    async def async_on_message(data: object) -> None:
        on_message(data)

    get_channel("w-active").on_receive(on_message if door == "sync" else async_on_message)

    @bot.on_after_shutdown
    def last() -> None:
        say("exit codes", [p.exitcode for p in bot.processes.values()])

    try:
        bot.run()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        say("run ended")


def imports_slowly() -> None:
    """A child that can be stopped while its target is imported."""
    bot = LiteyukiBot()
    bot.add_process("slow", "tests.children.slow_import:main")
    bot.run()
