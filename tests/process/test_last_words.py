"""What real children leave behind: channels that others wait on, messages nobody reads or takes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import wait_until
from tests.program import Environment, running_program, unix, went_well


def test_who_asked_hears_how_the_answerer_ended(tmp_path: Path, environment: Environment) -> None:
    """It dropped the channel, returned, was unwound by an exception or killed: closed or broken."""
    for way in ("sync", "async", "callback"):
        with running_program(tmp_path, environment, "last_words:answerers", way) as bot:
            went_well(bot)


def test_messages_that_nobody_reads_are_spoken_of(tmp_path: Path, environment: Environment) -> None:
    """Once, after some seconds, with who sent them; and again when all stops."""
    with running_program(tmp_path, environment, "last_words:unread") as bot:
        deaf = (
            r"channel deaf-passive: 3 messages wait in process deaf, .*sent by the main process\."
        )
        jobs = r"channel jobs: 7 messages wait in the main process, .*sent by sends\."
        bot.wait_for_line(deaf)
        bot.wait_for_line(jobs)
        assert bot.found("goes to whoever made it")
        bot.wait_until(lambda: len(bot.found(deaf)) == 1, "it is said once")
        (tmp_path / "go").touch()
        went_well(bot)
        assert len(bot.found(jobs)) == 2  # Once more at the stop: the child's end says its own.


@unix
@pytest.mark.parametrize(("stop_timeout", "pause"), [("20", 6.5), ("1", 2.5)])
def test_a_child_hands_over_what_it_has_sent(
    tmp_path: Path, environment: Environment, stop_timeout: str, pause: float
) -> None:
    """It waits as long as a stop may take for a main process that stands still; then it says it."""
    with running_program(
        tmp_path, environment, "last_words:untaken", LITEYUKI_STOP_TIMEOUT=stop_timeout
    ) as bot:
        main = psutil.Process(bot.process.pid)
        wait_until(lambda: main.status() == psutil.STATUS_STOPPED, "main stands still")
        time.sleep(pause)  # What is tested: for so long.
        os.kill(bot.process.pid, signal.SIGCONT)
        went_well(bot)
        if stop_timeout == "20":
            assert bot.found("^got 1000 True$"), bot.output
        else:
            got = int(bot.wait_for_line(r"^got (\d+) True$")[1])
            lost = bot.wait_for_line(r"channel sends-active: (\d+) messages could not be handed")
            assert got + int(lost[1]) <= 1000
            assert got < 1000
