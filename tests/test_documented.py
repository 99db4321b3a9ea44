"""The documented example, end to end: its two halves, its lines, its end."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from pathlib import Path

import httpx
import psutil
import pytest

from tests.conftest import ROOT, free_port, wait_until
from tests.program import (
    ACTIVE,
    PASSIVE,
    Program,
    living,
    running,
    running_program,
    stopped_by_itself,
)

MAIN_HALF = """\
# main process (a main-process plugin, or bot.py)
import asyncio
from liteyuki_core.comm import get_channel
from liteyuki_core import get_bot
channel_passive = get_channel("nonebot-passive")
channel_active = get_channel("nonebot-active")
liteyuki_bot = get_bot()

@liteyuki_bot.on_after_start
async def send_data():
    while True:
        channel_passive.send("I am liteyuki main process passive")
        channel_active.send("I am liteyuki main process active")
        await asyncio.sleep(3)
"""

CHILD_HALF = """\
# child process (a NoneBot plugin)
from nonebot import get_driver
from liteyuki_core.comm import active_channel, passive_channel
from liteyuki_core.log import logger
driver = get_driver()

@passive_channel.on_receive(filter_func=lambda data: isinstance(data, str))
async def on_passive_receive(data):
    logger.info(f"Passive receive: {data}")

@driver.on_startup
def on_startup():
    while True:
        data = active_channel.receive()
        logger.info(f"Active receive: {data}")
"""


@pytest.fixture
def project(tmp_path: Path, environment: dict[str, str]) -> Path:
    """A copy of what a user starts with, on a port of its own."""
    for name in ("bot.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "examples" / "documented", tmp_path / "examples" / "documented")
    environment["PORT"] = str(free_port())
    del environment["LITEYUKI_LOG_LANG"]  # The documented line is that of the default.
    return tmp_path


def ask(environment: dict[str, str]) -> int:
    """Return the status of NoneBot's answer to an HTTP request."""
    return httpx.get(f"http://127.0.0.1:{environment['PORT']}/", trust_env=False).status_code


def wait_until_serving(program: Program) -> list[psutil.Process]:
    """Wait for both lines and the server; return the processes that main has started."""
    for pattern in (PASSIVE, ACTIVE, "Uvicorn running on"):
        program.wait_for_line(pattern)
    return program.children()


@pytest.mark.parametrize(
    ("name", "text"), [("main_process.py", MAIN_HALF), ("nonebot_plugin.py", CHILD_HALF)]
)
def test_both_halves_are_the_documented_text(name: str, text: str) -> None:
    """The files that bot.py runs are the documented example, letter for letter."""
    written = (ROOT / "examples" / "documented" / name).read_text(encoding="utf-8")
    assert written.rstrip("\n") == text.rstrip("\n")


def test_lines_come_and_http_answers_and_sigint_ends_it(
    project: Path, environment: dict[str, str]
) -> None:
    """Both lines come again and again beside a server that answers; Ctrl+C ends it all with 0."""
    with running(project, environment) as program:
        children = wait_until_serving(program)
        assert ask(environment) == 404
        program.wait_for_line(PASSIVE, count=2)
        program.wait_for_line(ACTIVE, count=2)
        assert ask(environment) == 404
        assert program.stop() == 0
        assert stopped_by_itself(program), program.output
        wait_until(lambda: not living(children), "all processes gone", timeout=5)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
def test_sigterm_ends_it(project: Path, environment: dict[str, str]) -> None:
    """SIGTERM ends main with exit code 0 and leaves nothing behind."""
    with running(project, environment) as program:
        children = wait_until_serving(program)
        program.process.terminate()
        assert program.wait() == 0
        assert stopped_by_itself(program), program.output
        wait_until(lambda: not living(children), "all processes gone", timeout=5)


def test_children_leave_a_killed_main_process(project: Path, environment: dict[str, str]) -> None:
    """When main is killed, NoneBot is gone within 5 s."""
    with running(project, environment) as program:
        children = wait_until_serving(program)
        assert children
        program.process.kill()
        wait_until(lambda: not living(children), "all processes gone", timeout=5)
        assert "Traceback" not in program.output


def test_each_message_is_printed_once(project: Path, environment: dict[str, str]) -> None:
    """What was sent is printed, each message by one line."""
    with running_program(project, environment, "counted") as program:
        program.wait_until(lambda: settled(program, 2), "2 of each, all printed")
        assert program.stop() == 0


def settled(program: Program, least: int) -> bool:
    """Return whether all that was sent is printed; fail where more was printed than sent."""
    sent: Counter[str] = Counter()
    printed: Counter[str] = Counter()
    for line in list(program.lines):
        kind = line.rsplit(" ", 1)[-1]
        if "] Sending: " in line:
            sent[kind] += 1
        elif "] Passive receive: " in line or "] Active receive: " in line:
            printed[kind] += 1
            assert printed[kind] <= sent[kind], f"printed twice: {program.output}"
    return printed == sent and all(sent[kind] >= least for kind in ("passive", "active"))
