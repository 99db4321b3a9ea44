"""Nodes of a cluster: one has workers, another one calls functions in them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any

import psutil

from liteyuki_core import (
    LiteyukiBot,
    ProcessNotFound,
    ProcessStartError,
    ProcessTimeout,
    RemoteError,
    SendError,
    WorkerDied,
    shared_memory,
    workers,
)
from liteyuki_core.process import RestartPolicy
from tests.children import acting, reached, worked
from tests.children.acting import until
from tests.children.workers import door, error_of


def at_home() -> None:
    """Call workers of the same node with what would be something else on another one."""
    bot = LiteyukiBot()
    bot.add_workers("render", 1)
    pool = workers("render", timeout=60)

    async def act() -> None:
        same = [1]
        assert await pool.async_call(reached.types_of, (1,), same, k=bytearray(b"x")) == [
            ["tuple", "list", "bytearray"],
            False,
        ]
        assert await pool.async_call(reached.types_of, same, same) == [["list", "list"], True]
        assert await pool.async_call(reached.types_of, {1, 2}, b"x") == [["set", "bytes"], False]
        for given in ((1, [2, (3,)]), {"a": (1,)}, ("x" * 300_000, b"x" * 300_000), {1}, None):
            assert await pool.async_call(reached.same, given) == given
        assert await pool.async_call(reached.pair) == (1, [2, (3,)])
        error = await error_of(pool.async_call(reached.raises, "no such colour"))
        assert type(error) is ValueError, error

    acting.main(bot, act)


def home() -> None:
    """Have workers that other nodes may call, and some that they may not."""
    bot = LiteyukiBot()
    restart = RestartPolicy("always", max_restarts=1000, backoff=0.01, max_backoff=0.01)
    bot.add_workers("render", 2, nodes_may_call=[reached.__name__], restart=restart)
    bot.add_workers("closed", 1)

    @bot.on_after_start
    async def after_start() -> None:
        await asyncio.gather(*(bot.wait_ready(name, 60) for name in bot.processes))
        acting.say("> ready")

    bot.run()


async def runs_into_timeout(function: Callable[..., Any], key: str, **options: Any) -> None:
    """Call a function whose time is over after it has begun, however busy the machine is."""
    for seconds in (0.5, 2, 8, 32):
        pool = workers("render", timeout=seconds, **options)
        error = await error_of(door(pool)(function, key, 600))
        assert type(error) is ProcessTimeout, error
        if shared_memory.get(key):
            return
    raise AssertionError("it has never begun")


def is_over(pid: int) -> bool:
    """Return whether a process on this machine has ended."""
    return not psutil.pid_exists(pid)


async def known(name: str) -> None:
    """Wait until this node knows workers."""

    def is_known() -> bool:
        try:
            workers(name).stats()
        except ProcessNotFound:
            return False
        return True

    await until(is_known, f"{name} are known")


def away() -> None:
    """Call the workers of another node, in every way."""
    bot = LiteyukiBot()

    async def act() -> None:
        error = await error_of(workers("nobody").async_call(reached.add, 1))
        assert type(error) is ProcessNotFound, error
        await known("render")
        await known("closed")
        for part in (returned, raised, not_allowed, not_plain, died, late):
            await part()

    acting.main(bot, act)


async def returned() -> None:
    """Call functions that return."""
    pool = workers("render", timeout=60)
    call = door(pool)
    before = pool.stats()["returned"]
    assert await call(reached.add, 1) == 2
    assert await call(reached.add, 1, 2, c=3) == 6
    assert await call("tests.children.reached:add", 1, b=5) == 6
    assert await call(reached.add_async, 1) == 2
    assert await call(reached.cached, 5) == 5
    assert await call(reached.Job.name) == "Job"
    assert await call(reached.Job.Inner.name) == "Inner"
    for given in (None, "text", b"bytes", {"a": [1, 2.5, True]}, "x" * 300_000, b"x" * 2_000_000):
        assert await call(reached.same, given) == given
    assert await call(reached.pair) == [1, [2, [3]]], "a tuple arrives as a list"
    assert await call(reached.types_of, (1,), b"x", k=[1]) == [["list", "bytes", "list"], False]
    assert [each async for each in pool.async_map(reached.add, range(100))] == [*range(1, 101)]
    assert await asyncio.to_thread(lambda: list(pool.map(reached.add, range(50)))) == [
        *range(1, 51)
    ]
    assert pool.stats()["returned"] == before + 15 + 150, pool.stats()


async def raised() -> None:
    """Call functions that raise: what arrives is plain, whatever it was."""
    pool = workers("render", timeout=60)
    call = door(pool)
    before = pool.stats()["raised"]
    for function in (reached.raises, reached.raises_async):
        error = await error_of(call(function, "no such colour"))
        assert type(error) is RemoteError, error
        assert (error.type_name, error.message) == ("ValueError", "no such colour")
        assert f"in {function.__name__}\n" in error.traceback, error.traceback
        assert "liteyuki_core" not in error.traceback, error.traceback
        said = f"workers render: tests.children.reached:{function.__name__}: ValueError: no such"
        assert said in str(error), error
        assert error.__cause__ is None
    error = await error_of(call(reached.add))
    assert error.type_name == "TypeError", error
    error = await error_of(call("tests.children.reached:nothing"))
    assert error.type_name == "AttributeError", error
    assert pool.stats()["raised"] == before + 4, pool.stats()


async def not_allowed() -> None:
    """Call what other nodes may not: nothing of it runs."""
    call = door(workers("render", timeout=60))
    for path in ("os:getpid", "tests.children.worked:pid_of", worked.pid_of):
        error = await error_of(call(path))
        assert type(error) is RemoteError, error
        assert "other nodes may not call functions of module" in str(error), error
        assert "bot.add_workers('render', nodes_may_call=['" in str(error), error
    for name in ("shouts", "worked.pid_of", "os.getpid", "shouts_partly", "Job", "borrowed"):
        error = await error_of(call(f"tests.children.reached:{name}"))
        assert "may call only functions" in str(error), error
    error = await error_of(door(workers("closed", timeout=60))(reached.add, 1))
    assert "nodes_may_call=['tests.children.reached']" in str(error), error


async def not_plain() -> None:
    """Call with what can't cross, and have it returned: the error names the function."""
    call = door(workers("render", timeout=60))
    error = await error_of(call(reached.same, {1, 2}))
    assert type(error) is SendError, error
    assert "render: the arguments of tests.children.reached:same can't be sent" in str(error)
    assert "to another node: it is or has type set; text, bytes, numbers" in str(error), error
    error = await error_of(call(reached.a_set))
    assert type(error) is RemoteError, error
    assert "tests.children.reached:a_set: the answer can't be sent to node b: text" in str(error)


async def died() -> None:
    """Call functions that end their worker."""
    pool = workers("render", timeout=60)
    before = pool.stats()["died"]
    error = await error_of(door(pool)(reached.dies, 3))
    assert type(error) is WorkerDied, error
    assert error.process in ("render-1", "render-2"), error
    assert error.exitcode == 3, error
    assert error.lines[-1] == "its last words", error.lines
    assert "exited with code 3 while it ran tests.children.reached:dies" in str(error), error
    assert pool.stats()["died"] == before + 1
    again = workers("render", timeout=60, retries=2)
    assert await door(again)(reached.dies_once, f"once {before}") == "done"
    assert pool.stats()["retried"] >= 1
    error = await error_of(door(again)(reached.dies, 4))
    assert (type(error), error.exitcode) == (WorkerDied, 4), error


async def late() -> None:
    """Call functions that last too long, and cancel others."""
    pool = workers("render", timeout=60)
    await runs_into_timeout(reached.begin_and_wait_async, "async")
    await until(lambda: shared_memory.get("async") == "cancelled", "it is cancelled")
    cancelled = asyncio.create_task(pool.async_call(reached.begin_and_wait_async, "again", 60))
    await until(lambda: shared_memory.get("again") == "begun", "it runs")
    cancelled.cancel()
    await asyncio.wait([cancelled])
    await until(lambda: shared_memory.get("again") == "cancelled", "it is cancelled")
    # With kill its worker is ended, and another one takes its place.
    for number in range(3):
        key = f"killed {number}"
        killing = asyncio.create_task(
            workers("render", timeout=60, kill=True).async_call(reached.begin_and_wait, key, 600)
        )
        await until(lambda key=key: shared_memory.get(key), "it runs")  # type: ignore[misc]
        killing.cancel()
        await asyncio.wait([killing])
        await until(lambda key=key: is_over(shared_memory[key]), "it is ended")  # type: ignore[misc]
    await runs_into_timeout(reached.begin_and_wait, "late", kill=True)
    await until(lambda: is_over(shared_memory["late"]), "it is ended")
    pids = await asyncio.gather(*(pool.async_call(reached.pid_of) for _ in range(10)))
    assert shared_memory["late"] not in pids


def goes_on() -> None:
    """Call workers of another node on and on, ten at a time; write the result or the error."""
    bot = LiteyukiBot()
    numbers = count()
    pool = workers("render", timeout=120)

    async def calls(function: Callable[..., Any]) -> None:
        while True:
            number = next(numbers)
            try:
                result = await pool.async_call(function, number)
            except (ProcessStartError, ProcessNotFound, WorkerDied, RemoteError) as error:
                acting.say(">", type(error).__name__, error)
                await asyncio.sleep(0.1)
            else:
                assert result == number + 1
                acting.say("> result")

    @bot.on_after_start
    async def begin() -> None:
        await known("render")
        functions = [reached.add] * 9 + [reached.adds_slowly]
        await asyncio.gather(*map(calls, functions))

    bot.run()
