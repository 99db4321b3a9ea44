"""Programs under test that run as processes of their own, in projects made for one test."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import psutil
import pytest

from tests.conftest import DEADLINE, ROOT, wait_until

_MAIN = """
import asyncio

from liteyuki_core import LiteyukiBot, get_channel, logger

if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("nonebot", "liteyuki_core.frameworks.nonebot:run", kwargs={kwargs})
    active, passive = get_channel("nonebot-active"), get_channel("nonebot-passive")

    @bot.on_after_start
    async def hook():
        {hook}

    bot.run(keep={keep})
"""

_PLUGIN = """
from liteyuki_core import logger
from liteyuki_core.comm import active_channel, passive_channel
from nonebot import get_driver

driver = get_driver()
"""

Environment = dict[str, str]
unix = pytest.mark.skipif(sys.platform == "win32", reason="signals and files as Unix has them")

STARTED = r"Application startup complete"
"""NoneBot's line on either driver when all startup hooks are done."""

PASSIVE, ACTIVE = (
    rf"^\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d \[ℹ️信息\] {kind.capitalize()} receive: "
    rf"I am liteyuki main process {kind}$"
    for kind in ("passive", "active")
)
"""The lines of the documented example."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_NAME = re.compile(r"^[^\s|]+ *\| ", re.MULTILINE)
"""What a bot writes before a line: the name of the process that it is of."""


def without_names(text: str) -> str:
    """Return what a bot has written without the names of processes before the lines."""
    return _NAME.sub("", text)


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write texts, indented as it suits the test, to files of a project."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")


def main_process(*hook: str, keep: bool = False, **kwargs: object) -> str:
    """Return a bot.py with one NoneBot child, launched with `kwargs`.

    The lines of `hook` run once it is started; they have `active` and `passive`.
    """
    return _MAIN.format(hook="\n        ".join(hook or ["pass"]), keep=keep, kwargs=kwargs)


def nonebot_plugin(*parts: str) -> str:
    """Return a NoneBot plugin made of `parts`, which have `driver` and the process's channels."""
    return _PLUGIN + "".join(dedent(part) for part in parts)


def listing(*plugins: str) -> str:
    """Return a pyproject.toml that lists a project's own plugins."""
    return f'[tool.nonebot.plugins]\n"@local" = {list(plugins)}\n'


def python(
    code: str, folder: Path, environment: Mapping[str, str], **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a few lines of Python in `folder` to their end, with `more` environment variables."""
    return subprocess.run(
        [sys.executable, "-c", dedent(code)],
        cwd=folder,
        env={**environment, **more},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=3 * DEADLINE,
    )


class Program:
    """A running program and the lines it has written.

    Owns the process, its output and the thread that reads it; `close` ends all three, and
    whatever the program has started.
    """

    def __init__(self, command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        self.lines: list[str] = []
        """The lines so far, without the names of processes before them,"""
        self.named: list[str] = []
        """and with these names."""
        self._family: dict[int, psutil.Process] = {}
        self._reader = threading.Thread(target=self._read, name="program-output", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            text = _COLOURS.sub("", line.rstrip("\n"))
            self.named.append(text)
            self.lines.append(without_names(text))

    # ------------------------------------------------------------- what it writes

    @property
    def output(self) -> str:
        """Everything written so far, without the names of processes."""
        return "\n".join(self.lines)

    def found(self, pattern: str, of: str | None = None) -> list[re.Match[str]]:
        """Return a match for each line so far that `pattern` is found in.

        With `of` only lines of that process count.
        """
        shown = zip(list(self.lines), self.named, strict=False)
        lines = [line for line, named in shown if of is None or re.match(rf"{of} *\| ", named)]
        return [match for match in (re.search(pattern, line) for line in lines) if match]

    def wait_until(self, condition: Callable[[], Any], what: str, timeout: float = DEADLINE) -> Any:
        """Wait as `wait_until` does; a failure shows the output, and comes at its end."""

        def ended_or_true() -> Any:
            ended = not self._reader.is_alive()
            value = condition()
            if ended and not value:
                pytest.fail(f"never, for the program has ended: {what}")
            return value

        try:
            return wait_until(ended_or_true, what, timeout)
        except pytest.fail.Exception as failure:
            pytest.fail(f"{failure}; its output:\n{self.output}")

    def wait_for_line(
        self, pattern: str, count: int = 1, timeout: float = DEADLINE, of: str | None = None
    ) -> re.Match[str]:
        """Wait until `count` lines match, as in `found`; return the match of the last of them."""
        matches = self.wait_until(
            lambda: found if len(found := self.found(pattern, of)) >= count else None,
            f"{count} lines with {pattern!r}",
            timeout,
        )
        match: re.Match[str] = matches[count - 1]
        return match

    # ------------------------------------------------------------- how it ends

    def children(self) -> list[psutil.Process]:
        """Return the processes it has started that live, whatever started those included."""
        try:
            found = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            found = []
        self._family.update((process.pid, process) for process in found)
        return found

    def interrupt(self) -> None:
        """Send what Ctrl+C sends."""
        if sys.platform == "win32":
            self.process.send_signal(signal.CTRL_BREAK_EVENT)
        else:
            self.process.send_signal(signal.SIGINT)

    def wait(self, timeout: float = DEADLINE) -> int:
        """Wait for its end and the end of its output, and return its exit code."""
        wait_until(lambda: self.process.poll() is not None, f"an end; {self.output}", timeout)
        wait_until(lambda: not self._reader.is_alive(), f"an end of output; {self.output}")
        return self.process.returncode

    def stop(self) -> int:
        """Interrupt it and return its exit code."""
        self.interrupt()
        return self.wait()

    def close(self) -> None:
        """End whatever is left."""
        self.children()
        for process in self._family.values():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                pass
        self.process.kill()
        self.process.wait(DEADLINE)
        wait_until(lambda: not living(self._family.values()), "an end of all it started")
        self._reader.join(DEADLINE)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def running(
    folder: Path,
    environment: Mapping[str, str],
    *arguments: str,
    interpreter: str | os.PathLike[str] = sys.executable,
    **more: str,
) -> Iterator[Program]:
    """Run `python bot.py`, or `python ARGUMENTS`, in `folder`; it is ended on leaving."""
    command = [os.fspath(interpreter), *(arguments or ("bot.py",))]
    program = Program(command, folder, {**environment, **more})
    try:
        yield program
    finally:
        program.close()


def program_command(name: str, *arguments: str) -> list[str]:
    """Return how a program of `tests/children` is run; see `running_program`."""
    return [sys.executable, "-m", "tests.children", name, *arguments]


def program_environment(environment: Mapping[str, str], **more: str) -> dict[str, str]:
    """Return the environment for a program of `tests/children`, which can import these tests."""
    path = os.pathsep.join(filter(None, (str(ROOT), environment.get("PYTHONPATH"))))
    return {**environment, "PYTHONPATH": path, **more}


def running_program(
    folder: Path, environment: Mapping[str, str], name: str, *arguments: str, **more: str
) -> AbstractContextManager[Program]:
    """Run a program of `tests/children` in `folder`; it is ended on leaving.

    `name` is its module, or `module:function` where one has several.
    """
    _, *command = program_command(name, *arguments)
    return running(folder, program_environment(environment, **more), *command)


def living(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return those that run; one that has ended and was not reaped yet does not."""

    def lives(process: psutil.Process) -> bool:
        try:
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return [process for process in processes if lives(process)]


def went_well(program: Program, *lines: str, timeout: float = 120) -> None:
    """Wait for the end of a program that `acting.main` runs, whose `act` must come to its end.

    Each of `lines` must be found in its output.
    """
    assert program.wait(timeout) == 0, program.output
    assert program.found("^all is well$"), program.output
    for line in lines:
        assert program.found(line), program.output


def spoken(program: Program, start: str = "> ") -> list[str]:
    """Return what a program has said with `start`."""
    return [match[1] for match in program.found(f"^{re.escape(start)}(.*)$")]


def stopped_by_itself(program: Program) -> bool:
    """Return whether the output says that everything ended when it was asked to."""
    return (
        bool(program.found(r"process nonebot exited with code 0$|进程 nonebot 已退出，退出码 0$"))
        and bool(program.found(r"LiteyukiBot (has stopped|已停止)$"))
        and not program.found("Traceback|has not stopped|没有停止|is left")
    )
