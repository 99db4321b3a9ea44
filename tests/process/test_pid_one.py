"""The main process as PID 1 of a container: in a PID namespace of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import wait_until
from tests.program import Program, program_command, program_environment

UNSHARE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


def can_have_a_namespace() -> bool:
    """Return whether this machine lets us have a PID namespace."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True, timeout=20).returncode == 0


pytestmark = pytest.mark.skipif(
    not can_have_a_namespace(), reason="this machine lets nobody have a PID namespace"
)


@pytest.fixture
def contained(tmp_path: Path, environment: dict[str, str]) -> Iterator[Program]:
    """A bot that is started as PID 1, and whose child leaves orphans."""
    command = [*UNSHARE, *program_command("contained")]
    program = Program(command, tmp_path, program_environment(environment))
    try:
        program.wait_for_line("^all run$")
        yield program
    finally:
        program.close()


def first(program: Program) -> psutil.Process:
    """Return the process that is PID 1 there."""
    (found,) = psutil.Process(program.process.pid).children()
    return found


def test_orphans_are_reaped(contained: Program) -> None:
    """Those that have left the session of their parents too; nobody else's exit code is taken."""
    assert contained.found("^main is 1: False$")
    contained.wait_for_line("^orphans$")
    contained.wait_for_line("^zombies: none$")
    assert contained.found("^exit code of main's own: 7$")
    assert contained.found("^parents of orphans: 1$")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_passed_on(contained: Program, number: int) -> None:
    """The bot stops in order, and its exit code is that of the container."""
    first(contained).send_signal(number)
    assert contained.wait() == 0
    assert contained.found("LiteyukiBot has stopped$")


def test_a_main_process_that_is_killed(contained: Program) -> None:
    """The exit code says by which signal, and nothing is left."""
    family = contained.children()
    # The orphans are its children too, but younger ones.
    min(first(contained).children(), key=lambda child: child.create_time()).kill()
    assert contained.wait() == 128 + signal.SIGKILL
    wait_until(lambda: not any(p.is_running() and p.status() != "zombie" for p in family))


def test_an_idle_one_sleeps(contained: Program) -> None:
    """It is small, and only a signal wakes it."""
    init = first(contained)
    assert init.num_threads() == 1
    assert os.path.basename(init.cmdline()[3]) == "pid_one.py"

    def stays() -> bool:
        before = init.num_ctx_switches().voluntary
        contained.wait_for_line("^tick$", count=len(contained.found("^tick$")) + 3)
        return init.num_ctx_switches().voluntary == before

    wait_until(stays, "three ticks of the bot without a wake-up")
