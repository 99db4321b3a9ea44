"""Workers of a real bot: what calls return and raise, and what becomes of those that run them."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
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
    WouldBlockLoop,
    get_channel,
    get_queue,
    shared_memory,
    workers,
)
from liteyuki_core.comm.workers import Workers
from liteyuki_core.process import RestartPolicy
from liteyuki_core.process.state import ProcessState
from tests.children import acting, worked
from tests.children.acting import AGAIN, NEVER, until

Call = Callable[..., Coroutine[Any, Any, Any]]


def door(pool: Workers) -> Call:
    """Return the door that the test asks for, as something to await."""
    if sys.argv[1:] == ["sync"]:
        return lambda *args, **kwargs: asyncio.to_thread(pool.call, *args, **kwargs)
    return pool.async_call


async def error_of(call: Awaitable[Any]) -> Any:
    """Return what a call raises."""
    try:
        result = await call
    except Exception as error:
        return error
    raise AssertionError(f"it returned {result!r}")


def stored(key: str, value: str) -> bool:
    """Return whether the store has this value."""
    return bool(shared_memory.get(key) == value)


async def running(bot: LiteyukiBot, *names: str) -> None:
    """Wait until processes run."""
    for name in names:
        await bot.wait_ready(name, 30)


def results() -> None:
    """Call all kinds of functions."""
    bot = LiteyukiBot()
    bot.add_workers("render", 2, initializer=worked.prepare)
    pool = workers("render", timeout=30)
    call = door(pool)

    async def act() -> None:
        await running(bot, "render-1", "render-2")
        assert shared_memory.get("initializers") == 2
        for _ in range(20):
            process, on_main_thread, prepared = await call(worked.where)
            assert process in ("render-1", "render-2"), process
            assert on_main_thread
            assert prepared == [True], prepared
        assert shared_memory.get("imports") == 2, "a module is imported once a worker"
        process, loop_runs = await call(worked.where_async)
        assert process in ("render-1", "render-2"), process
        assert loop_runs
        assert await call(worked.add, 1) == 2
        assert await call(worked.add, 1, 2, c=3) == 6
        assert await call("tests.children.worked:add", 1, b=5) == 6
        assert await call(worked.Kept.triple, 5) == 15
        assert await call(worked.Kept.name) == "Kept"
        assert await call(len, "four") == 4
        assert await call(worked.runs_a_loop) == 3
        assert await call(worked.returns_awaitable) == 3
        big = await call(worked.block, 10_000_000)
        assert type(big) is bytes
        assert big == b"\x5a" * 10_000_000
        stats = pool.stats()
        assert stats["calls"] == stats["returned"] == 30, stats
        assert set(stats) == {
            "calls", "returned", "raised", "died", "retried", "given_up", "under_way"
        }  # fmt: skip
        assert bot.channels["render-calls"]["backlog"] == 0
        assert not [p.outcome for p in bot.processes.values() if p.outcome]

    acting.main(bot, act)


def raised() -> None:
    """Call functions that raise, that are not there, and that return what can't be sent."""
    bot = LiteyukiBot()
    bot.add_workers("render", 2)
    pool = workers("render", timeout=30)
    call = door(pool)

    async def act() -> None:
        for function in (worked.raises, worked.raises_async):
            error = await error_of(call(function, "value"))
            assert type(error) is ValueError, error
            assert str(error) == "no such colour"
            cause = error.__cause__
            assert isinstance(cause, RemoteError)
            assert cause.type_name == "ValueError"
            assert cause.message == "no such colour"
            assert f"in {function.__name__}\n" in cause.traceback, cause.traceback
            assert "liteyuki_core" not in cause.traceback, cause.traceback
            for what, name in (
                ("strange", "Strange"),
                ("local", "Local"),
                ("cancelled", "CancelledError"),
            ):
                error = await error_of(call(function, what))
                assert type(error) is RemoteError, error
                assert error.type_name == name, error.args
                assert error.channel == "render-calls"
            answer: Any = await get_queue("render-calls").async_request("no call")
            assert "ValueError: too many values" in answer.text, answer
            error = await error_of(call(function, "a lock"))
            assert type(error) is RemoteError, error
            assert f"render: tests.children.worked:{function.__name__}: " in str(error), error
            assert "lock can't be sent" in str(error), error
        error = await error_of(call(worked.raises, "stop"))
        assert (type(error), error.type_name) == (RemoteError, "StopIteration"), error
        for name in ("returns_kept", "generate"):
            error = await error_of(call(f"tests.children.worked:{name}"))
            assert f"tests.children.worked:{name}: the answer can't be sent" in str(error), error
        for path in ("no_such_module:f", "tests.children.worked:no_such_function", "os:sep"):
            error = await error_of(call(path))
            assert type(error) in (ImportError, RemoteError), error
            assert f"can't import {path}: " in str(error), error
        error = await error_of(call(worked.add, threading.Lock()))
        assert type(error) is SendError, error
        assert "the arguments of tests.children.worked:add can't be sent" in str(error), error
        error = await error_of(call(worked.add, b"x" * (65 << 20)))
        assert "the arguments of tests.children.worked:add can't be sent" in str(error), error
        error = await error_of(call(worked.block, 65 << 20))
        assert "tests.children.worked:block: the answer can't be sent" in str(error), error
        for bad in (lambda: 1, partial(worked.add, 1), worked.Kept(), 3, here, "no colon"):
            begun = time.monotonic()
            error = await error_of(call(bad))
            assert type(error) is SendError, error
            assert time.monotonic() - begun < 5
        assert pool.stats()["under_way"] == 0, pool.stats()
        assert await call(worked.add, 1) == 2
        running = asyncio.create_task(call(worked.until_file, "closed"))
        await until(lambda: bot.channels["render-calls"]["backlog"] == 1, "it runs")
        get_queue("render-calls").close()
        error = await error_of(running)
        assert type(error) is ProcessStartError, error
        assert "until_file can't be called: channel render-calls: it was closed" in str(error)
        assert type(await error_of(call(worked.add, 1))) is ProcessNotFound
        open("closed", "w").close()

    def here() -> None:
        raise AssertionError("it was called")

    acting.main(bot, act)


def mapped() -> None:
    """Map functions, whose calls run beside each other and whose results are in order."""
    bot = LiteyukiBot()
    bot.add_workers("render", 2)
    pool = workers("render", timeout=30)

    async def collect(function: Any, *iterables: Any) -> list[Any]:
        if sys.argv[1:] == ["sync"]:
            return await asyncio.to_thread(lambda: list(pool.map(function, *iterables)))
        return [each async for each in pool.async_map(function, *iterables)]

    async def act() -> None:
        await running(bot, "render-1", "render-2")
        numbers = list(range(200))
        assert await collect(worked.add, numbers) == [number + 1 for number in numbers]
        assert await collect(worked.add, numbers, numbers[:50]) == numbers[:100:2]
        assert await collect(worked.add, []) == []
        error = await error_of(collect(worked.add, [1, None, 3]))
        assert type(error) is TypeError, error
        error = await error_of(collect(lambda number: number, [1]))
        assert type(error) is SendError, error
        await until(lambda: pool.stats()["under_way"] == 0, "all are over")
        both = await asyncio.wait_for(collect(worked.begin_and_wait, "ab", [0.3, 0.3]), 30)
        assert sorted(both) == ["render-1", "render-2"], both
        before = pool.stats()["given_up"]
        if sys.argv[1:] == ["sync"]:
            some: Any = await asyncio.to_thread(
                pool.map, worked.begin_and_wait, "abcdefgh", [0.05] * 8
            )
            assert type(await error_of(_next(some))) is WouldBlockLoop
            some = await asyncio.to_thread(pool.map, worked.begin_and_wait, "abcdefgh", [0.05] * 8)
            assert await asyncio.to_thread(next, some)
            await asyncio.to_thread(some.close)
        else:
            async for _ in pool.async_map(worked.begin_and_wait, "abcdefgh", [0.05] * 8):
                break
        await until(lambda: pool.stats()["under_way"] == 0, "all are over")
        assert pool.stats()["given_up"] == before + 7, pool.stats()
        await until(lambda: not bot.channels["render-calls"]["backlog"], "they are taken back")

    acting.main(bot, act)


async def _next(results: Any) -> Any:
    """Return the next result, on the loop's thread."""
    return next(results)


def from_others() -> None:
    """Call workers from a plain child and from another worker."""
    bot = LiteyukiBot()
    bot.add_workers("render", 1)
    bot.add_workers("other", 1)
    bot.add_process("child", worked.calls_from_child, restart=NEVER)

    async def act() -> None:
        assert await workers("other", timeout=30).async_call(worked.asks_another, "render") == 42
        await until(lambda: bot.processes["child"].exitcode == 0, "the child has ended")

    acting.main(bot, act)


def killed_by_child() -> None:
    """Have a child end a worker, while the main process has no channel in use."""
    bot = LiteyukiBot()
    bot.add_workers("render", 1)
    bot.add_process("child", worked.ends_a_worker, restart=NEVER)

    async def act() -> None:
        await until(lambda: bot.processes["child"].exitcode == 0, "the child has ended")

    acting.main(bot, act)


def died() -> None:
    """Call functions that end their worker."""
    bot = LiteyukiBot()
    bot.add_workers("render", 2, restart=RestartPolicy("always", 1000, backoff=0, max_backoff=0))
    pool = workers("render", timeout=30)
    call = door(pool)

    async def act() -> None:
        await running(bot, "render-1", "render-2")
        beside = asyncio.create_task(pool.async_call(worked.until_file, "over"))
        await until(lambda: bot.channels["render-calls"]["backlog"] == 1, "it runs")
        for how, code in (("exit", 3), ("sys.exit", 4), ("clean", 0), ("signal", None)):
            error = await error_of(call(worked.dies, how))
            assert type(error) is WorkerDied, error
            assert error.process in ("render-1", "render-2"), error.process
            assert code is None or error.exitcode == code, error.exitcode
            assert error.exitcode is not None
            assert (error.exitcode < 0) == (how == "signal" and sys.platform != "win32")
            assert "these are" in error.lines, error.lines
            assert error.lines[-1] == "its last words", error.lines
            assert "while it ran tests.children.worked:dies" in str(error), error
        error = await error_of(call(worked.dies_async))
        assert (type(error), error.exitcode) == (WorkerDied, 5), error
        assert pool.stats()["died"] == 5, pool.stats()
        again = door(workers("render", timeout=30, retries=2))
        assert await again(worked.dies_once, "once") in ("render-1", "render-2")
        assert shared_memory.get("once") == 2
        assert pool.stats()["retried"] == 1
        error = await error_of(again(worked.dies, "exit"))
        assert (type(error), error.exitcode) == (WorkerDied, 3), error
        assert pool.stats()["retried"] == 3, pool.stats()
        assert not beside.done(), "another worker's call is not touched"
        open("over", "w").close()
        assert await beside in ("render-1", "render-2")
        nothing_is_under_way(bot)

    acting.main(bot, act)


def nothing_is_under_way(bot: LiteyukiBot) -> None:
    """See that main has no table with a call in it."""
    calls: Any = bot._hub.table.by_name["render-calls"].requests(0)
    tables = [calls._asked, calls._broken_off, calls.sent, calls.waiting, calls._answers]
    assert not any(tables), tables
    assert len(calls._paces) <= len(calls.holders)
    pools = {id(course._pool): course._pool for course in bot._supervisor.courses}
    assert not any(pool._owed for pool in pools.values() if pool is not None)
    end = workers("render")._new(worked.add, (), {})._pool.end
    assert not end.asking._waiting
    assert end.sending._free == end.capacity, (end.sending._free, end.capacity)


def late() -> None:
    """Call functions that last too long."""
    bot = LiteyukiBot()
    bot.add_workers("render", 1, restart=RestartPolicy("always", max_restarts=1, backoff=10))
    bot.add_workers("never", 1, restart=NEVER)

    async def act() -> None:
        worker = bot.processes["render-1"]
        await running(bot, "render-1", "never-1")
        before = worker.pid
        # Without kill a sync function runs on, and an async one is cancelled.
        pool = workers("render", timeout=0.3)
        error = await error_of(door(pool)(worked.begin_and_wait, "slow", 1.0))
        assert type(error) is ProcessTimeout, error
        assert error.process == "render"
        assert "tests.children.worked:begin_and_wait: it has not ended" in str(error), error
        await until(lambda: shared_memory.get("slow") == "ended", "it runs to its end")
        error = await error_of(door(pool)(worked.begin_and_wait_async, "async", 60))
        assert type(error) is ProcessTimeout, error
        await until(lambda: shared_memory.get("async") == "cancelled", "it is cancelled")
        assert worker.pid == before
        # With kill its worker is ended, and another one is there at once, however often.
        for name in ("render", "never"):
            killing = workers(name, timeout=0.3, kill=True)
            for _ in range(3):
                ended = await workers(name, timeout=30).async_call(worked.pid_of)
                begun = time.monotonic()
                error = await error_of(door(killing)(worked.begin_and_wait, "killed", 60))
                assert type(error) is ProcessTimeout, error
                next_one = await workers(name, timeout=30).async_call(worked.pid_of)
                assert next_one != ended
                assert not psutil.pid_exists(ended)
                assert time.monotonic() - begun < 8, "there is no backoff"
        assert shared_memory.get("killed") == "begun"
        # Only the one that still runs it: neither that of a call that waits, nor of the next one.
        killing = workers("render", timeout=0.3, kill=True)
        before = worker.pid
        running_on = asyncio.create_task(
            workers("render", timeout=30).async_call(worked.begin_and_wait, "on", 1.0)
        )
        await until(lambda: shared_memory.get("on") == "begun", "it runs")
        error = await error_of(door(killing)(worked.add, 1))
        assert type(error) is ProcessTimeout, error
        assert await running_on == "render-1"
        assert worker.pid == before
        # Cancelling is giving up too.
        cancelled = asyncio.create_task(
            workers("render", timeout=30, kill=True).async_call(worked.begin_and_wait, "c", 60)
        )
        await until(lambda: shared_memory.get("c") == "begun", "it runs")
        cancelled.cancel()
        await asyncio.wait([cancelled])
        assert cancelled.cancelled()
        assert await workers("render", timeout=30).async_call(worked.pid_of) != before
        nothing_is_under_way(bot)

    acting.main(bot, act)


def cancelled() -> None:
    """Cancel calls: an async function is cancelled, the result of a sync one is dropped."""
    bot = LiteyukiBot()
    bot.add_workers("render", 1)
    pool = workers("render")

    async def act() -> None:
        for function, end in (
            (worked.begin_and_wait, "ended"),
            (worked.begin_and_wait_async, "cancelled"),
        ):
            seconds = 0.5 if end == "ended" else 60
            task = asyncio.create_task(pool.async_call(function, end, seconds))
            await until(partial(stored, end, "begun"), "it runs")
            waiting = asyncio.create_task(pool.async_call(worked.dies, "exit"))
            await asyncio.sleep(0)
            waiting.cancel()
            task.cancel()
            await asyncio.wait([task, waiting])
            assert task.cancelled()
            await until(partial(stored, end, end), f"it has {end}")
            assert await pool.async_call(worked.add, 1) == 2
        assert bot.processes["render-1"].restarts == 0
        nothing_is_under_way(bot)

    acting.main(bot, act)


def replaced() -> None:
    """Call workers that are replaced after five calls, and stop them while they run some."""
    bot = LiteyukiBot()
    bot.add_workers("render", 2, max_calls=5)
    bot.add_workers("asyncs", 1, max_calls=3, concurrency=3)
    call = door(workers("render", timeout=30))

    async def act() -> None:
        pids = await asyncio.gather(*(call(worked.pid_of) for _ in range(100)))
        assert max(pids.count(pid) for pid in pids) <= 5, pids
        assert len(set(pids)) >= 20
        pool = workers("asyncs", timeout=30)
        waits = (pool.async_call(worked.begin_and_wait_async, str(n), 0.05) for n in range(12))
        assert await asyncio.gather(*waits) == ["asyncs-1"] * 12
        await until(lambda: bot.processes["asyncs-1"].restarts == 4, "it was replaced four times")
        for name in ("render-1", "render-2"):
            assert bot.processes[name].state is not ProcessState.FAILED
        # A stop waits for the call that runs. What waits is run by the other one.
        await running(bot, "render-1", "render-2")
        calls = [asyncio.create_task(call(worked.begin_and_wait, str(n), 0.3)) for n in range(4)]
        await until(lambda: shared_memory.get("0") == shared_memory.get("1") == "begun", "two run")
        bot.stop_process("render-1")
        names = await asyncio.gather(*calls)
        assert names.count("render-2") == 3, names
        bot.start_process("render-1")
        await running(bot, "render-1")
        nothing_is_under_way(bot)

    acting.main(bot, act)


def broken_off() -> None:
    """Stop a worker that runs a call which is longer than a stop may take."""
    bot = LiteyukiBot()
    bot.add_workers("render", 1)
    call = door(workers("render", timeout=30))

    async def act() -> None:
        for function in (worked.begin_and_wait, worked.begin_and_wait_async):
            shared_memory.delete("long")
            asking = asyncio.create_task(call(function, "long", 60))
            await until(partial(stored, "long", "begun"), "it runs")
            waiting = asyncio.create_task(call(worked.add, 1))
            bot.restart_process("render-1")
            error = await error_of(asking)
            assert type(error) is WorkerDied, error
            assert f"process render-1 was stopped while it ran {worked.__name__}:" in str(error)
            assert await waiting == 2

    acting.main(bot, act)


def beside() -> None:
    """Call async functions, of which one worker runs three at a time, and short ones."""
    bot = LiteyukiBot()
    bot.add_workers("render", 1, concurrency=3)
    bot.add_workers("short", 2)
    pool = workers("render", timeout=30)

    async def act() -> None:
        await running(bot, "render-1", "short-1", "short-2")
        keys = [str(number) for number in range(4)]
        tasks = [
            asyncio.create_task(pool.async_call(worked.begin_and_wait_async, key, 0.5))
            for key in keys
        ]
        await until(lambda: all(shared_memory.get(key) for key in keys[:3]), "three run")
        assert shared_memory.get(keys[3]) is None
        await asyncio.gather(*tasks)
        # A call behind a long one, given in advance because all before were short, moves on.
        short = workers("short", timeout=30)
        await asyncio.gather(*(short.async_call(worked.add, 1) for _ in range(300)))
        mixed = [asyncio.create_task(short.async_call(worked.until_file, "let go"))]
        mixed += [asyncio.create_task(short.async_call(worked.add, 1)) for _ in range(300)]
        done = await asyncio.wait_for(asyncio.gather(*mixed[1:]), 20)
        assert done == [2] * 300
        assert not mixed[0].done()
        open("let go", "w").close()
        assert (await mixed[0]).startswith("short-")

    acting.main(bot, act)


def unstartable() -> None:
    """Call workers whose initializer fails, and then start one where it does not."""
    bot = LiteyukiBot()
    bot.add_workers("render", 2, initializer="tests.children.worked:fails_to_prepare")
    pool = workers("render", timeout=30)
    call = door(pool)

    async def act() -> None:
        early = asyncio.create_task(pool.async_call(worked.add, 1))
        for each in (early, call(worked.add, 1)):
            error = await error_of(each)
            assert type(error) is ProcessStartError, error
            assert error.process == "render"
            assert "tests.children.worked:add can't be called" in str(error), error
            assert "no picture can be made" in str(error), error
            assert "restart_process" in str(error), error
        assert bot.processes["render-1"].state is ProcessState.FAILED
        shared_memory.set("may start", True)
        bot.restart_process("render-1")
        assert await call(worked.add, 1) == 2
        bot.stop_process("render-1")
        await until(lambda: bot.processes["render-1"].state is ProcessState.STOPPED, "it stops")
        error = await error_of(call(worked.add, 1))
        assert type(error) is ProcessStartError, error
        bot.start_process("render-1")
        assert await call(worked.add, 1) == 2

    acting.main(bot, act)


def bounded() -> None:
    """Call busy workers until the queue has no room."""
    bot = LiteyukiBot()
    bot.add_workers("render", 1)

    async def act() -> None:
        pool = workers("render", timeout=60)
        tasks = [asyncio.create_task(pool.async_call(worked.until_file, "over"))]
        tasks += [asyncio.create_task(pool.async_call(worked.add, n)) for n in range(1023)]
        await until(lambda: bot.channels["render-calls"]["sent"] == 1024, "it is full")
        error = await error_of(door(workers("render", timeout=0.2))(worked.add, 1))
        assert type(error) is ProcessTimeout, error
        assert "no room for it in the queue within 0.2 s" in str(error), error
        tasks.append(asyncio.create_task(pool.async_call(worked.add, 1023)))
        open("over", "w").close()
        assert (await asyncio.gather(*tasks))[1:] == list(range(1, 1025))
        nothing_is_under_way(bot)

    acting.main(bot, act)


def several() -> None:
    """Do the same with fewer."""
    many(300)


def many(count: int = 1000) -> None:
    """Make so many calls, of which every tenth ends its worker."""
    bot = LiteyukiBot()
    bot.add_workers("render", 2, restart=AGAIN)
    pool = workers("render", timeout=60)

    async def one(number: int) -> None:
        if number % 10 == 9:
            error = await error_of(pool.async_call(worked.maybe_dies, number))
            assert type(error) is WorkerDied, error
            assert error.exitcode == number % 100, (number, error)
        else:
            assert await pool.async_call(worked.maybe_dies, number) == number * number

    async def caller(numbers: Any) -> None:
        for number in numbers:
            await one(number)

    async def act() -> None:
        await running(bot, "render-1", "render-2")
        await caller(range(10))
        await running(bot, "render-1", "render-2")
        threads = threading.active_count()
        files = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
        numbers = iter(range(count))
        await asyncio.gather(*(caller(numbers) for _ in range(20)))
        await running(bot, "render-1", "render-2")
        stats = pool.stats()
        assert (stats["calls"], stats["died"], stats["retried"]) == (
            count + 10,
            count // 10 + 1,
            0,
        ), stats
        nothing_is_under_way(bot)
        await until(
            lambda: len(psutil.Process().children(recursive=True)) <= 3 + bool(files),
            "two workers are left",
        )
        await until(lambda: threading.active_count() <= threads, "no thread is left")
        if files:
            await until(lambda: len(os.listdir("/proc/self/fd")) <= files, "no file is left")

    acting.main(bot, act)


def stops() -> None:
    """Stop the bot while a child waits for a call."""
    bot = LiteyukiBot()
    bot.add_workers("render", 1)
    bot.add_process("child", waits_for_call)

    async def act() -> None:
        await get_channel("child-passive").async_receive(30)
        await until(lambda: shared_memory.get("long") == "begun", "it runs")

    acting.main(bot, act)


def waits_for_call() -> None:
    """Call a function that takes a while."""
    from liteyuki_core.comm import passive_channel

    passive_channel.send("waits")
    acting.say("child got", workers("render").call(worked.begin_and_wait, "long", 1.0))
