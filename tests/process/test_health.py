"""Real children that hang, each in its own way, and healthy ones that only look like it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from liteyuki_core.comm.wire import words
from liteyuki_core.process.health import Hang, Health, Watch
from tests.conftest import DEADLINE, free_port
from tests.program import (
    Environment,
    Program,
    listing,
    nonebot_plugin,
    running_program,
    unix,
    write_files,
)

HANG = "1"
"""LITEYUKI_HANG_TIMEOUT here: rounds are twice a second then."""


def pid(bot: Program, name: str) -> int:
    """Return the process id that the log says a child was started with."""
    return int(bot.wait_for_line(rf"process {name} started \(pid (\d+)\)")[1])


@contextmanager
def stopped(process: int) -> Iterator[None]:
    """Have a process do nothing, as by Ctrl+Z, until the end."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


@unix
def test_a_child_that_is_stopped(tmp_path: Path, environment: Environment) -> None:
    """Warned about once, or killed and started again, as configured; no message is lost."""
    with running_program(tmp_path, environment, "hangs:stopped", LITEYUKI_HANG_TIMEOUT=HANG) as bot:
        bot.wait_for_line("is up", 2)
        os.kill(pid(bot, "killed"), signal.SIGSTOP)
        with stopped(pid(bot, "kept")):
            (tmp_path / "stopped").touch()
            warning = bot.wait_for_line(r"WARNING\] process kept has not answered for [\d.]+ s(.*)")
            bot.wait_for_line(r"ERROR\] process killed is killed: it has not answered for [\d.]+ s")
            bot.wait_for_line("killed has answered, restarts: 1")
            assert not bot.found("kept has answered")
        bot.wait_for_line("INFO] process kept answers again, after".replace("]", r"\]"))
        bot.wait_for_line("kept has answered, restarts: 0")
        if sys.platform == "linux":
            assert warning[1] == ": it is stopped by a signal"
        assert bot.stop() == 0
        assert len(bot.found("has not answered")) == 2
        assert bot.found(r"process killed was ended by signal 9 \(SIGKILL\); it is started again")
        assert not bot.found("Traceback|process killed answers again")


PLUGIN = nonebot_plugin(
    """
    @active_channel.on_receive()
    async def handle(data):
        handle_it()

    def handle_it():
        open("gate").close()
    """
)


@unix
def test_a_child_that_is_blocked(tmp_path: Path, environment: Environment) -> None:
    """The warning has the stack of the loop's thread, `loop_lag` is how long that was blocked."""
    write_files(tmp_path, {"own.py": PLUGIN, "pyproject.toml": listing("own")})
    os.mkfifo(tmp_path / "gate")
    with running_program(
        tmp_path, environment, "hangs:blocked", LITEYUKI_HANG_TIMEOUT=HANG, PORT=str(free_port())
    ) as bot:
        for name in ("callbacks", "target", "nonebot"):
            bot.wait_for_line(rf"WARNING\] process {name} has an event loop .* for [\d.]+ s, in$")
        bot.wait_for_line(r'^  File ".*hangs.py", line \d+, in wait_for_the_gate$', 2)
        bot.wait_for_line(r'^  File ".*own.py", line \d+, in handle_it$')
        bot.wait_for_line(r"WARNING\] process locked has not answered for [\d.]+ s")
        os.close(os.open(tmp_path / "gate", os.O_WRONLY))
        for name in ("callbacks", "target", "nonebot"):
            bot.wait_for_line(rf"INFO\] process {name}: its event loop runs again, after [\d.]+ s$")
        bot.wait_for_line(r"INFO\] process locked answers again, after [\d.]+ s$")
        (tmp_path / "enough").touch()
        longest = bot.wait_for_line("longest: .*'callbacks': ([0-9.]+).*'unwatched': 0.0}")
        blocked = [float(match[1]) for match in bot.found(r"blocked for ([\d.]+)$")]
        assert float(HANG) <= float(longest[1]) <= max(blocked)
        assert bot.stop() == 0
        assert len(bot.found("has an event loop")) == 3
        assert len(bot.found("has not answered")) == 1
        assert not bot.found("Traceback|unwatched has|is killed")


def test_a_message_that_blocks_the_loop(tmp_path: Path, environment: Environment) -> None:
    """With "restart" it is a message like any other that kills: found, set aside, passed by."""
    settings = {"LITEYUKI_HANG_TIMEOUT": "0.5", "LITEYUKI_HANG_ACTION": "Restart"}
    with running_program(
        tmp_path, environment, "hangs:poison", LITEYUKI_MAX_REDELIVERIES="2", **settings
    ) as bot:
        bot.wait_for_line(r"set aside: \['poison'\]")
        assert bot.wait() == 0
        assert (
            len(bot.found(r"ERROR\] process worker is killed: it has an event loop .*, in$")) >= 2
        )
        assert len(bot.found(r"^  File .* in handle$")) >= 2


@unix
def test_a_main_process_that_was_blocked_or_asleep(
    tmp_path: Path, environment: Environment
) -> None:
    """It says so of itself, and holds it against no child."""
    still = r"WARNING\] LiteyukiBot's event loop stood still for ([\d.]+) s or more"
    with running_program(
        tmp_path, environment, "hangs:main_stands_still", LITEYUKI_HANG_TIMEOUT=HANG
    ) as bot:
        bot.wait_for_line("no longer blocked")
        assert float(bot.wait_for_line(still)[1]) > float(HANG)
        with stopped(bot.process.pid):
            time.sleep(2)  # Longer than the timeout, whatever the round it falls into.
        bot.wait_for_line(still, 2)
        time.sleep(float(HANG) * 2)  # What was counted wrongly would show by now.
        assert bot.stop() == 0
        assert not bot.found("has not answered|has an event loop|is killed|started again")


class Puppet:
    """A child and its peer at once, whose answers are up to the test."""

    name = "puppet"
    pid = None
    loop_lag: float | None = None
    clean = False

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.stacks: list[float] = []
        """When it was asked for a stack as well."""
        self.on_asked: Callable[[], object] = lambda: None

    def say(self, word: words.AskPulse) -> None:
        """Be asked."""
        self.asked.append(word.at)
        if word.stack:
            self.stacks.append(word.at)
        self.on_asked()


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until something is so."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def test_what_main_missed_is_not_counted() -> None:
    """An answer that is late because main was blocked is no hang; one that never comes is."""

    async def miss_an_answer() -> None:
        killed: list[bool] = []
        health = Health(0)
        child: Any = Puppet()
        watch = Watch(child, child, Hang(0.5, "restart"), lambda: killed.append(True), None)
        health.add(watch)

        def answer() -> None:
            watch.arrived(words.Pulse(child.asked[-1], None, None, ""))

        answer()
        loop = asyncio.get_running_loop()
        child.on_asked = lambda: loop.call_soon(time.sleep, 1)
        await until(lambda: len(child.asked) == 2)
        child.on_asked = lambda: None
        await until(lambda: health._clock > child.asked[1])
        assert not killed
        answer()
        await until(lambda: len(child.asked) == 3)
        assert not killed
        await until(lambda: killed)
        assert killed == [True]

    asyncio.run(miss_an_answer())


def test_a_mark_that_came_late_is_not_taken_for_an_old_one() -> None:
    """A child that was stopped gets all at once what waited for it; its loop has just begun."""
    killed: list[bool] = []
    child: Any = Puppet()
    watch = Watch(child, child, Hang(5, "restart"), lambda: killed.append(True), None)
    for lag, waits, found in ((None, None, False), (0.1, 2.5, False), (5.0, 2.5, True)):
        watch.ask(7.5)
        watch.arrived(words.Pulse(7.5, lag, waits, ""))
        assert bool(watch.take(7.5)) == found


def test_a_stack_is_asked_for_when_it_is_time() -> None:
    """Not only in the next round, and not again for the same mark."""

    async def keep_a_mark_waiting() -> None:
        health = Health(0)
        child, other = Puppet(), Puppet()
        watches = {
            puppet: Watch(puppet, puppet, Hang(timeout, "warn"), lambda: None, None)
            for puppet, timeout in ((child, 0.7), (other, 0.5))
        }

        def answer(puppet: Any) -> None:
            waits = puppet.asked[1] if puppet is child and len(puppet.asked) > 2 else None
            at = puppet.asked[-1]
            lag = 0 if waits is None else at - waits
            if watches[puppet].arrived(words.Pulse(at, lag, waits, "where")):
                health.look(watches[puppet])

        loop = asyncio.get_running_loop()
        for puppet, watch in watches.items():
            health.add(watch)
            answer(puppet)
            puppet.on_asked = partial(loop.call_soon, answer, puppet)
        await until(lambda: len(child.asked) == 8)
        for puppet in watches:
            health.forget(puppet)
        (at,) = child.stacks
        assert 0.69 <= at - child.asked[1] < 0.75  # Rounds are every 0.25 of the clock that counts.
        assert not other.stacks

    asyncio.run(keep_a_mark_waiting())


@unix
def test_healthy_children(tmp_path: Path, environment: Environment) -> None:
    """Busy, flooded, slow to import or slow to be spawned: none of them hangs."""
    plugin = nonebot_plugin("import time\ntime.sleep(5)\nlogger.info('imported')\n")
    write_files(tmp_path, {"own.py": plugin, "pyproject.toml": listing("own")})
    # A forked child may be connected, and watched, before it can be stopped here.
    settings = {"LITEYUKI_START_METHOD": "spawn", "LITEYUKI_HANG_TIMEOUT": "4"}
    with running_program(
        tmp_path, environment, "hangs:healthy", **settings, PORT=str(free_port())
    ) as bot:
        with stopped(pid(bot, "spawned")):
            bot.wait_for_line("imported$")
        bot.wait_for_line(r"flooded with \d+$")
        bot.wait_for_line("Application startup complete")
        assert bot.stop() == 0
        assert not bot.found("has not answered|has an event loop|stood still|is killed")


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("hang_timeout=-1", "ValueError: hang_timeout must be seconds, or 0 for off, not -1"),
        ("hang_timeout=float('nan')", "ValueError: hang_timeout must be seconds"),
        ("hang_timeout='5'", "TypeError: hang_timeout must be a number, not str"),
        ("hang_action='kill'", "ValueError: hang_action must be 'warn' or 'restart', not 'kill'"),
    ],
)
def test_what_is_not_allowed(
    tmp_path: Path, environment: Environment, given: str, error: str
) -> None:
    """It is said when the process is added."""
    with running_program(
        tmp_path, environment, "bot_targets:a_line", f'bot.add_process("echo", echo, {given})'
    ) as bot:
        assert bot.wait() == 1
        assert bot.found(re.escape(error))


def test_settings_that_are_not_allowed(tmp_path: Path, environment: Environment) -> None:
    """Each is named."""
    settings = {"LITEYUKI_HANG_TIMEOUT": "-1", "LITEYUKI_HANG_ACTION": "kill"}
    with running_program(tmp_path, environment, "bot_stops:hosts", **settings) as bot:
        assert bot.wait() == 1
        assert bot.found("ConfigError: LITEYUKI_HANG_TIMEOUT=-1: .*; LITEYUKI_HANG_ACTION=kill: ")
