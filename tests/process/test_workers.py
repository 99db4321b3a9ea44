"""Workers: functions that other processes call, with real processes.

Tests comm/workers.py, comm/loop/taker.py, process/pool.py, process/child/worker.py.
"""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from liteyuki_core import (
    ChannelExists,
    LiteyukiBot,
    NotConnected,
    ProcessExists,
    ProcessNotFound,
    ProcessStartError,
    SendError,
    WorkerDied,
    WouldBlockLoop,
    workers,
)
from liteyuki_core.comm.queue import Queue
from liteyuki_core.comm.workers import path_of
from tests.children import worked
from tests.conftest import in_full
from tests.program import Environment, running_program, went_well

doors = pytest.mark.parametrize("door", ["async", *in_full("sync")])


def run(folder: Path, environment: Environment, name: str, *lines: str, door: str = "") -> None:
    """Run one of the programs in `children/workers.py`, which must come to its end."""
    arguments = [door] if door else []
    with running_program(folder, environment, f"workers:{name}", *arguments) as bot:
        went_well(bot, *lines)
        assert not bot.found("Traceback|has not stopped|is left|was never awaited"), bot.output


@pytest.mark.parametrize(
    ("program", "door"),
    [
        ("results", "async"),
        ("results", "sync"),
        ("raised", "async"),
        ("mapped", "sync"),
        ("died", "async"),
        ("late", "sync"),
        pytest.param("raised", "sync", marks=pytest.mark.long),
        pytest.param("mapped", "async", marks=pytest.mark.long),
        pytest.param("died", "sync", marks=pytest.mark.long),
        pytest.param("late", "async", marks=pytest.mark.long),
    ],
)
def test_calls(tmp_path: Path, environment: Environment, program: str, door: str) -> None:
    """What they return and raise, by both doors, and what becomes of workers."""
    run(tmp_path, environment, program, door=door)


@doors
@pytest.mark.parametrize("program", ["replaced", "bounded"])
def test_workers(tmp_path: Path, environment: Environment, program: str, door: str) -> None:
    """They are replaced after so many calls; their queue is bounded."""
    run(tmp_path, environment, program, door=door)


@doors
def test_a_call_that_a_stop_breaks_off(tmp_path: Path, environment: Environment, door: str) -> None:
    """Its caller hears that its worker was stopped; what waits is run by the next one."""
    environment = {**environment, "LITEYUKI_STOP_TIMEOUT": "1"}
    with running_program(tmp_path, environment, "workers:broken_off", door) as bot:
        went_well(bot)


@doors
def test_workers_that_can_not_start(tmp_path: Path, environment: Environment, door: str) -> None:
    """Calls are refused with the reason, until one starts."""
    with running_program(tmp_path, environment, "workers:unstartable", door) as bot:
        went_well(bot, "the initializer of workers render raised RuntimeError")


@pytest.mark.parametrize(
    "program", ["cancelled", "beside", "several", pytest.param("many", marks=pytest.mark.long)]
)
def test_what_becomes_of_calls(tmp_path: Path, environment: Environment, program: str) -> None:
    """Of cancelled ones, of several at a time in one worker, and of many, a tenth deadly."""
    run(tmp_path, environment, program)


def test_calls_from_other_processes(tmp_path: Path, environment: Environment) -> None:
    """From a plain child, by both doors, and from another worker."""
    run(tmp_path, environment, "from_others", "child: 42 1 2 3 2 2 3$")


def test_a_child_ends_a_worker(tmp_path: Path, environment: Environment) -> None:
    """By its time-out, also while the main process uses no channel itself."""
    run(tmp_path, environment, "killed_by_child", "child: another True$")


def test_a_stop_waits_for_a_call(tmp_path: Path, environment: Environment) -> None:
    """The worker ends it, whether its caller is stopped too or not."""
    run(tmp_path, environment, "stops", "process render-1 exited with code 0")


# ------------------------------------------------------------- bad input


def nested() -> Any:
    """Return a function inside of a function."""

    def inner() -> None:
        raise AssertionError

    return inner


class Instance:
    """Can be called, and is no function."""

    def __call__(self) -> None:
        raise AssertionError

    def method(self) -> None:
        raise AssertionError


def replaced() -> None:
    """Be another object than the module has by this name."""


shadowed, replaced = replaced, nested  # type: ignore[assignment]


def of_main() -> None:
    """Be of the file that was started."""


of_main.__module__ = "__main__"


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda: 1, ["<lambda>", "a lambda"]),
        (nested(), ["nested.<locals>.inner", "inside of another function"]),
        (partial(worked.add, 1), ["partial", "as arguments"]),
        (Instance(), ["Instance", "as arguments"]),
        (Instance().method, ["Instance.method", "another object"]),
        (shadowed, ["replaced", "another object"]),
        (of_main, ["of_main", "module of its own"]),
        (7, ["7", "write a function"]),
        (None, ["None", "write a function"]),
        ("add", ["'add'", "package.module:function"]),
        (":add", ["':add'", "package.module:function"]),
        ("module:", ["'module:'", "package.module:function"]),
    ],
    ids=lambda given: given[0] if isinstance(given, list) else "",
)
def test_what_workers_can_not_import(function: Any, words: list[str]) -> None:
    """Is refused at once, naming it and saying what to do."""
    with pytest.raises(SendError) as raised:
        path_of(function)
    assert all(word in str(raised.value) for word in words), raised.value


def test_how_workers_import() -> None:
    """By the module and the name in it; texts are as they are."""
    assert path_of(worked.add) == "tests.children.worked:add"
    assert path_of(worked.add) is path_of(worked.add)
    assert path_of(worked.Kept.triple) == "tests.children.worked:Kept.triple"
    assert path_of("not.imported.here:function") == "not.imported.here:function"


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"kill": True}, ValueError, "needs a timeout"),
        ({"kill": 1, "timeout": 1}, TypeError, "kill must be True or False"),
        ({"retries": -1}, ValueError, "retries must be at least 0"),
        ({"retries": 1.5}, TypeError, "retries must be an int, not float"),
        ({"retries": True}, TypeError, "retries must be an int, not bool"),
        ({"timeout": "1"}, TypeError, "a timeout is a number"),
        ({"timeout": -1}, ValueError, "a timeout must be 0 or more"),
        ({"name": ""}, ValueError, "a name must have"),
        ({"name": 3}, TypeError, "a name must be a string"),
    ],
)
def test_bad_arguments_of_workers(arguments: Any, error: type[Exception], words: str) -> None:
    """Are refused when the handle is made."""
    with pytest.raises(error, match=words):
        workers(**{"name": "render", **arguments})


def test_a_handle_needs_no_bot_until_it_is_used() -> None:
    """Outside a bot a call says so."""
    pool = workers("render")
    assert repr(pool) == "<Workers 'render'>"
    with pytest.raises(NotConnected):
        pool.call(worked.add, 1)


@pytest.fixture
def bot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A bot that does not run."""
    monkeypatch.chdir(tmp_path)
    made = LiteyukiBot()
    yield made
    made.stop()
    made.run()


def test_no_such_workers(bot: LiteyukiBot) -> None:
    """Says what adds them."""
    with pytest.raises(ProcessNotFound, match=r"bot\.add_workers\('render'\)"):
        workers("render").call(worked.add, 1)
    with pytest.raises(ProcessNotFound, match=r"bot\.add_workers\('render'\)"):
        next(workers("render").map(worked.add, [1]))


def test_sync_doors_on_a_loop(bot: LiteyukiBot) -> None:
    """Raise at once and name the other door."""
    bot.add_workers("render")

    async def calls() -> None:
        with pytest.raises(WouldBlockLoop, match="async_call"):
            workers("render").call(worked.add, 1)
        with pytest.raises(WouldBlockLoop, match="async_map"):
            workers("render").map(worked.add, [1])

    loop = asyncio.new_event_loop()
    loop.run_until_complete(calls())
    loop.close()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"count": 0}, ValueError, "count must be at least 1"),
        ({"count": 1.0}, TypeError, "count must be an int"),
        ({"max_calls": 0}, ValueError, "max_calls must be at least 1"),
        ({"concurrency": True}, TypeError, "concurrency must be an int, not bool"),
        ({"restart": "always"}, TypeError, "restart must be a RestartPolicy"),
        ({"initializer": 3}, TypeError, "initializer must be a function"),
        ({"initializer": worked.prepares_async}, TypeError, "prepares_async is async"),
        ({"initializer": lambda: 1}, ProcessStartError, "<lambda>"),
        ({"name": "x" * 200}, ValueError, "a name must have"),
        ({"nodes_may_call": "jobs"}, TypeError, r"such as \['myproject.jobs'\], not 'jobs'"),
        ({"nodes_may_call": 3}, TypeError, "is a list of modules"),
        ({"nodes_may_call": ["jobs.py:f"]}, ValueError, "'jobs.py:f', which names no module"),
        ({"nodes_may_call": [worked]}, ValueError, "which names no module"),
    ],
)
def test_bad_arguments_of_add_workers(
    bot: LiteyukiBot, arguments: Any, error: type[Exception], words: str
) -> None:
    """Are refused, and nothing was added."""
    with pytest.raises(error, match=words):
        bot.add_workers(**{"name": "render", **arguments})
    assert not bot.processes
    bot.add_workers("render")


def test_names_that_are_taken(bot: LiteyukiBot) -> None:
    """By another process, by the same workers, or by a queue."""
    bot.add_workers("render", 3)
    assert list(bot.processes) == ["render-1", "render-2", "render-3"]
    with pytest.raises(ProcessExists, match="render-1"):
        bot.add_workers("render")
    bot.add_process("other-2", "os:getpid")
    with pytest.raises(ProcessExists, match="other-2"):
        bot.add_workers("other")
    assert "other-1" not in bot.processes
    Queue("third-calls").stats()
    with pytest.raises(ChannelExists, match="workers third need the name 'third-calls'"):
        bot.add_workers("third")
    assert "third-1" not in bot.processes


def test_stats_before_any_call(bot: LiteyukiBot) -> None:
    """All are 0; from any thread."""
    bot.add_workers("render")
    found: list[dict[str, int]] = []
    thread = threading.Thread(target=lambda: found.append(workers("render").stats()))
    thread.start()
    thread.join(10)
    assert set(found[0].values()) == {0}


def test_what_a_dead_worker_tells() -> None:
    """The error has all of it."""
    error = WorkerDied("it died", "render-1", -9, ("a", "b"))
    assert (error.process, error.exitcode, error.lines) == ("render-1", -9, ("a", "b"))
