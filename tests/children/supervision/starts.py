"""Children that come up, late or never: states, hooks, `wait_ready`, giving up."""

from __future__ import annotations

import asyncio
import os
import sys

from liteyuki_core import LiteyukiBot, get_channel, shared_memory
from liteyuki_core.comm import active_channel
from liteyuki_core.process import (
    ProcessState,
    RestartPolicy,
    calls_ready,
    ready,
    request_restart,
    request_stop,
)
from tests.children import acting
from tests.children.acting import QUICK, say, until
from tests.children.targets import receives

# ------------------------------------------------------------- states and hooks


@calls_ready
def slow() -> None:
    active_channel.send("connected")
    active_channel.receive()
    ready()
    ready()  # Once more does nothing.
    active_channel.receive()


def states() -> None:
    bot = LiteyukiBot()
    bot.add_process("slow", slow)
    slow_one, channel = bot.processes["slow"], get_channel("slow-active")

    def state() -> ProcessState:
        return slow_one.state

    @bot.on_process_state
    async def async_hook(name: str, state: ProcessState) -> None:
        say(">", name, state.name)

    @bot.on_process_state
    def sync_hook(name: str, state: ProcessState) -> None:
        say("sync", name, state.name)

    @bot.on_before_process_restart
    def before_restart(name: str) -> None:
        say("> before restart of", name, slow_one.state.name)

    @bot.on_before_process_shutdown
    async def before_shutdown(name: str) -> None:
        say("> before shutdown of", name, slow_one.state.name)

    @bot.on_after_restart
    async def after_restart(name: str) -> None:
        say("> after restart of", name, slow_one.state.name)

    async def comes_up() -> None:
        assert await channel.async_receive(20) == "connected"
        assert state() is ProcessState.STARTING
        waiting = asyncio.ensure_future(bot.wait_ready("slow", 20))
        await asyncio.sleep(0)
        assert not waiting.done()
        channel.send("go on")
        await waiting
        assert state() is ProcessState.RUNNING
        await bot.wait_ready("slow")  # At once.

    async def act() -> None:
        await comes_up()
        for _ in range(10):
            bot.restart_process("slow")  # Asked for at once they are one.
        assert state() is ProcessState.STOPPING
        await comes_up()
        assert slow_one.restarts == 1
        channel.send("end")
        await until(lambda: state() is ProcessState.STOPPED, "its end")
        bot.start_process("slow")
        assert state() is ProcessState.STARTING
        await comes_up()
        bot.stop_process("slow")
        bot.start_process("slow")  # Not forgotten: when it has stopped.
        await comes_up()
        assert slow_one.restarts == 2

    acting.main(bot, act)


# ------------------------------------------------------------- ready when it says so, or never


@calls_ready
def never() -> None:
    active_channel.receive()


@calls_ready
def raises() -> None:
    raise OSError("no database")


def could_not() -> None:
    sys.exit(3)


def returns() -> None:
    pass


@calls_ready
def second_time_not() -> None:
    if not shared_memory.incr("lives") == 1:
        raise OSError("it was there before")
    ready()
    active_channel.receive()
    os._exit(7)


def waiting() -> None:
    bot = LiteyukiBot()
    always = RestartPolicy(mode="always", max_restarts=2, backoff=0.01, max_backoff=0.02)
    for target in (never, raises, could_not, returns, second_time_not):
        bot.add_process(target.__name__, target, restart=always)
    bot.add_process("missing", "no_such_module:function", restart=always)

    async def error_of(name: str, timeout: float = 20) -> None:
        try:
            await bot.wait_ready(name, timeout)
        except Exception as error:
            say(f"> {name} {type(error).__name__}: {error}")

    async def act() -> None:
        await error_of("never", 0.2)
        await error_of("nobody")
        for name in ("raises", "missing"):
            await error_of(name)
            assert bot.processes[name].restarts == 0
        for name in ("could_not", "returns"):
            child = bot.processes[name]
            await until(
                lambda: (
                    child.state is ProcessState.FAILED
                    or (child.outcome and child.state is ProcessState.STOPPED)
                ),
                name,
            )
            say(f"> {name} {child.state.name} {child.restarts}")
        await bot.wait_ready("second_time_not", 20)
        get_channel("second_time_not-active").send("die")
        second = bot.processes["second_time_not"]
        await until(lambda: second.restarts >= 3, "it is tried again and again")
        bot.stop_process("second_time_not")
        await error_of("second_time_not")
        bot.stop_process("never")
        await error_of("never")

    acting.main(bot, act)


# ------------------------------------------------------------- given up


def raises_again() -> None:
    raise ValueError("again")


def given_up() -> None:
    bot = LiteyukiBot()
    bot.add_process("fine", receives)
    bot.add_process(
        "crashes",
        raises_again,
        restart=RestartPolicy(max_restarts=2, backoff=0.01, max_backoff=0.01),
    )

    async def act() -> None:
        child, fine = bot.processes["crashes"], bot.processes["fine"]
        await until(lambda: child.state is ProcessState.FAILED, "it is given up")
        assert child.restarts == 2 and fine.state is ProcessState.RUNNING
        bot.restart_process("crashes")
        await until(lambda: child.restarts == 5, "three more")
        await until(lambda: child.state is ProcessState.FAILED, "it is given up again")
        assert fine.restarts == 0 and fine.state is ProcessState.RUNNING

    acting.main(bot, act)


# ------------------------------------------------------------- restarts that children ask for


def asks() -> None:
    for data in active_channel:
        request_restart(*data)


def asked_for() -> None:
    bot = LiteyukiBot()
    bot.add_process("asks", asks)
    bot.add_process("other", receives)
    channel = get_channel("asks-active")

    async def act() -> None:
        for process in bot.processes:
            await bot.wait_ready(process, 20)
        for call in (request_restart, ready):
            try:
                call()
            except RuntimeError as error:
                say(f"> {type(error).__name__}: {error}")
        channel.send(("other",))
        await until(lambda: bot.processes["other"].restarts == 1, "the other")
        channel.send(("nobody",))
        channel.send(())
        await until(lambda: bot.processes["asks"].restarts == 1, "itself")
        await bot.wait_ready("asks", 20)
        channel.send(("other",))
        await until(lambda: bot.processes["other"].restarts == 2, "the other, by its successor")

    acting.main(bot, act)


# ------------------------------------------------------------- stops that children ask for


def asks_to_stop() -> None:
    for data in active_channel:
        request_stop(*data)


def stops_asked_for() -> None:
    bot = LiteyukiBot()
    bot.add_process("asks", asks_to_stop, restart=RestartPolicy(mode="always"))
    bot.add_process("other", receives)
    asks, other = bot.processes["asks"], bot.processes["other"]
    channel = get_channel("asks-active")

    async def act() -> None:
        for process in bot.processes:
            await bot.wait_ready(process, 20)
        try:
            request_stop()
        except RuntimeError as error:
            say(f"> {type(error).__name__}: {error}")
        channel.send(("nobody",))
        channel.send(("other",))
        await until(lambda: other.state is ProcessState.STOPPED, "the other")
        channel.send(())
        await until(lambda: asks.state is ProcessState.STOPPED, "itself, whatever its policy")
        assert (asks.exitcode, asks.restarts) == (0, 0)
        bot.start_process("asks")
        await bot.wait_ready("asks", 20)

    acting.main(bot, act)


def later() -> None:
    bot = LiteyukiBot()
    bot.add_process("w", receives)
    bot.add_process("other", receives)
    w, other = bot.processes["w"], bot.processes["other"]

    async def act() -> None:
        for process in bot.processes:
            await bot.wait_ready(process, 20)
        for wrong in (-1, "1"):
            try:
                bot.restart_process("w", delay=wrong)  # type: ignore[arg-type]
            except (TypeError, ValueError) as error:
                say(f"> {type(error).__name__}: {error}")
        bot.restart_process("other", delay=3600)  # The stop does not wait for it.
        bot.restart_process("w", delay=0.05)
        assert w.state is ProcessState.RUNNING
        await until(lambda: w.restarts == 1, "it is restarted")
        await bot.wait_ready("w", 20)
        assert other.restarts == 0

    acting.main(bot, act)


# ------------------------------------------------------------- stopped before they are up


def exits() -> None:
    os._exit(9)


def stopped_early() -> None:
    bot = LiteyukiBot()
    bot.add_process("w", receives, restart=QUICK)
    bot.add_process("backs-off", exits, restart=RestartPolicy(backoff=100, max_backoff=100))

    async def act() -> None:
        w, backs_off = bot.processes["w"], bot.processes["backs-off"]
        for turns in range(16):
            bot.start_process("w")
            for _ in range(turns * turns):
                await asyncio.sleep(0)
            bot.stop_process("w")
            if turns % 4 == 3:
                bot.start_process("w")
                await bot.wait_ready("w", 20)
                bot.stop_process("w")
            await until(lambda: w.state is ProcessState.STOPPED, f"a stop after {turns} turns")
        await until(lambda: backs_off.state is ProcessState.BACKOFF, "it backs off")
        bot.stop_process("backs-off")
        assert backs_off.state is ProcessState.STOPPED
        bot.start_process("backs-off")
        await until(lambda: backs_off.state is ProcessState.BACKOFF, "it backs off again")
        bot.restart_process("backs-off")  # At once, not after the backoff.
        await until(lambda: backs_off.restarts == 1, "a restart")

    acting.main(bot, act)
