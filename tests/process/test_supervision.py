"""Real children that are started, stopped, restarted and that fail: states, hooks, groups.

Tests process/supervisor.py, process/course.py, process/state.py, process/spec.py,
process/group.py, process/task.py, process/child/entry.py, process/child/request.py, replacement.py.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.program import (
    Environment,
    Program,
    living,
    running,
    running_program,
    spoken,
    unix,
    went_well,
    write_files,
)


def test_states_are_entered_once_and_offered_to_hooks(
    tmp_path: Path, environment: Environment
) -> None:
    """A target decorated with `calls_ready` is RUNNING when it says so, not before."""
    with running_program(tmp_path, environment, "supervision.starts:states") as bot:
        went_well(bot)
        up = ["slow STARTING", "slow RUNNING"]
        said = spoken(bot)
        states = [line for line in said if re.fullmatch("slow [A-Z]+", line)]
        assert states == [
            *(*up, "slow STOPPING"),
            *(*up, "slow STOPPED"),
            *(*up, "slow STOPPING"),
            *(*up, "slow STOPPING", "slow STOPPED"),
        ]
        assert spoken(bot, "sync ") == states
        restart = [
            "before restart of slow STOPPING",
            "before shutdown of slow STOPPING",
            "after restart of slow RUNNING",
        ]
        others = [line for line in said if line not in states]
        assert others == [*restart, *restart, restart[1]]
        assert len(bot.found("process slow started")) == 4
        assert len(bot.found("process slow is ready, .* s after its start$")) == 4
        assert len(bot.found("process slow is to stop$")) == 3
        assert len(bot.found("process slow exited with code 0; it is started again$")) == 2


def test_waiting_for_what_never_comes(tmp_path: Path, environment: Environment) -> None:
    """`wait_ready` says why; a child that can't start is not hammered, its log says what to do."""
    with running_program(tmp_path, environment, "supervision.starts:waiting") as bot:
        went_well(bot)
        said = spoken(bot)
        assert (
            said[0]
            == "never ProcessTimeout: process never was not ready within 0.2 s: it is starting"
        )
        assert said[1].startswith("nobody ProcessNotFound: ")
        assert said[2] == (
            "raises ProcessStartError: process raises is failed and not about to start: "
            "exited with code 1"
        )
        assert said[3].startswith("missing ProcessStartError: process missing is failed")
        assert "No module named 'no_such_module'" in said[3]
        assert said[4] == "could_not FAILED 0"
        assert said[5] == "returns STOPPED 2"
        assert said[6].startswith(
            "second_time_not ProcessStartError: process second_time_not is stopped"
        )
        assert said[7].startswith("never ProcessStartError: process never is stopped")
        for name in ("raises", "could_not", "missing"):
            line = f"ERROR.*process {name} exited with code .*it could not start and is not started"
            hint = f"again: fix it, then call restart_process\\('{name}'\\)"
            assert len(bot.found(f"{line} {hint}")) == 1
        assert bot.found("ERROR.*process second_time_not exited with code 7.*is started again in")
        assert bot.found("ERROR.*second_time_not exited with code 1.*is tried again in 0.02 s$")


def test_a_child_that_is_given_up(tmp_path: Path, environment: Environment) -> None:
    """One loud line; the others and main go on; a restart by hand gives it a fresh start."""
    with running_program(tmp_path, environment, "supervision.starts:given_up") as bot:
        went_well(bot)
        loud = bot.found(
            "CRITICAL.*process crashes exited with code 1.*started again 2 times in 60 s"
        )
        assert len(loud) == 2
        assert len(bot.found("ValueError: again")) == 6


def test_restarts_that_children_ask_for(tmp_path: Path, environment: Environment) -> None:
    """Of themselves, of another, of nobody; in the main process it is an error."""
    with running_program(tmp_path, environment, "supervision.starts:asked_for") as bot:
        went_well(bot)
        said = spoken(bot)
        assert len(said) == 2
        assert all(line.startswith("NotConnected: this is the main process") for line in said)
        assert bot.found(
            r"ERROR.*process asks has asked for a restart: no process is named 'nobody'"
        )
        assert len(bot.found("process asks has asked for a restart of other$")) == 2


def test_stops_that_children_ask_for(tmp_path: Path, environment: Environment) -> None:
    """Of themselves, though they are always restarted; of another; of nobody."""
    with running_program(tmp_path, environment, "supervision.starts:stops_asked_for") as bot:
        went_well(bot)
        (line,) = spoken(bot)
        assert line.startswith("NotConnected: this is the main process")
        assert bot.found(r"ERROR.*process asks has asked for a stop: no process is named 'nobody'")
        assert bot.found("process asks has asked for a stop of asks$")


def test_a_restart_with_a_delay(tmp_path: Path, environment: Environment) -> None:
    """Comes when its time has come, and not after the bot's stop."""
    with running_program(tmp_path, environment, "supervision.starts:later") as bot:
        went_well(bot)
        assert [line.partition(":")[0] for line in spoken(bot)] == ["ValueError", "TypeError"]


@pytest.mark.parametrize("door", ["sync", "async"])
def test_hooks_that_never_end(tmp_path: Path, environment: Environment, door: str) -> None:
    """They hold up neither a restart nor the stop, and are named."""
    with running_program(
        tmp_path, environment, "supervision.ends:hooks", door, LITEYUKI_STOP_TIMEOUT="4"
    ) as bot:
        went_well(bot)
        both = "on_before_process_restart and on_before_process_shutdown"
        assert bot.found(f"ERROR.*{both} hooks of process w did not end in time")
        assert bot.found(
            r"ERROR.*\] on_before_process_shutdown hooks of process w did not end in time"
        )
        assert bot.found("ERROR.*on_process_state hooks did not end in time")
        assert len(bot.found("process w exited with code 0")) == 2
        assert not bot.found("can't be ended")


@unix
@pytest.mark.parametrize("how", ["crash", "stop", "second signal", "kill", "kill main"])
def test_what_a_child_has_started_ends_with_it(
    tmp_path: Path, environment: Environment, how: str
) -> None:
    """However the child ends; also what ignores SIGTERM, and what that has started."""
    with running_program(
        tmp_path, environment, "supervision.ends:family", *(["crash"] if how == "crash" else [])
    ) as bot:
        bot.wait_for_line("^ready$")
        pid = int(bot.wait_for_line(r"process \S+ started \(pid (\d+)\)")[1])
        (child,) = (process for process in bot.children() if process.pid == pid)
        grandchildren = child.children(recursive=True)
        assert len(grandchildren) == 3
        (tmp_path / "go").touch()
        if how == "kill":
            child.kill()
        elif how == "kill main":
            bot.process.kill()
        elif how != "crash":
            bot.interrupt()
            if how == "second signal":
                bot.wait_for_line("LiteyukiBot stops")
                wait_until(lambda: not living([child]) or _interrupt_again(bot), "an end")
        wait_until(lambda: not living([child, *grandchildren]), f"all ended; {bot.output}")
        if how in ("crash", "kill"):
            code = {"crash": "5", "kill": "-9"}[how]
            bot.wait_for_line(f"^ended {code}$")
            assert bot.stop() == 0


def _interrupt_again(bot: Program) -> bool:
    # Signals within a tenth of a second count as one.
    if not bot.found("again: everything is ended at once"):
        bot.interrupt()
    return False


@pytest.mark.parametrize("when", ["running", "while it starts", "stopped by a signal meanwhile"])
def test_main_restarts_itself(tmp_path: Path, environment: Environment, when: str) -> None:
    """In place, with the same id and arguments; durable keys are there again, children new."""
    settings = {"LITEYUKI_STORE_PATH": str(tmp_path / "store.db")}
    with running_program(
        tmp_path, environment, "supervision.ends:restart", when, "an argument", **settings
    ) as bot:
        assert bot.wait(60) == 0, bot.output
        lives = [match[1] for match in bot.found("^(life .*)")]
        if when == "stopped by a signal meanwhile":
            assert lives == [f"life 1 {bot.process.pid} an argument"]
        else:
            assert lives == [f"life {n} {bot.process.pid} an argument" for n in (1, 2, 3)]
            assert len(bot.found("LiteyukiBot stops: asked to restart$")) == 2
        pids = [match[1] for match in bot.found(r"^child (\d+)")]
        assert len(pids) == len(set(pids)) == {"running": 3, "while it starts": 2}.get(when, 1)
        assert len(bot.found("^run returned$")) == 1
        assert not bot.found("Traceback")


def test_stopped_before_they_are_up(tmp_path: Path, environment: Environment) -> None:
    """A stop meets a child at every step of its start; what is asked for last holds."""
    with running_program(tmp_path, environment, "supervision.starts:stopped_early") as bot:
        went_well(bot)
        assert not bot.found("can't be|Traceback|has not stopped")


def test_nothing_is_left(tmp_path: Path, environment: Environment) -> None:
    """Restarts leave no process, thread or file descriptor behind in main."""
    with running_program(tmp_path, environment, "supervision.ends:nothing_left") as bot:
        went_well(bot)
        assert len(spoken(bot)) == 1


def test_what_it_does_for_a_target_is_not_left_half_done(
    tmp_path: Path, environment: Environment
) -> None:
    """A child is asked to stop at any moment of what this package does on its main thread."""
    with running_program(tmp_path, environment, "supervision.ends:half_done") as bot:
        went_well(bot)
        assert len(bot.found("process busy exited with code 0; it is started again")) == 12
        assert not bot.found("Traceback|has not stopped|ERROR"), bot.output


_SLOW_IN_CHILDREN = """
import os
import time

from liteyuki_core import LiteyukiBot
from liteyuki_core.comm import active_channel
from liteyuki_core.comm.context import Context


def say(what):
    os.write(1, f"> {what}\\n".encode())


def waits():
    active_channel.receive()


if __name__ == "__mp_main__":
    get = Context.get

    def slowly(self, name):
        say("begins")
        time.sleep(0.5)
        say("ends")
        return get(self, name)

    Context.get = slowly


if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("w", waits)
    bot.run()
"""
"""Each child imports the main file before it makes itself ready."""


def test_it_is_not_interrupted_before_its_target(tmp_path: Path, environment: Environment) -> None:
    """A child that is asked to stop while it makes itself ready for its target ends after that."""
    write_files(tmp_path, {"bot.py": _SLOW_IN_CHILDREN})
    with running(tmp_path, environment) as bot:
        bot.wait_for_line("begins$")
        assert bot.stop() == 0
        assert bot.found("process w exited with code 0$"), bot.output
        assert len(bot.found("> begins$")) == len(bot.found("> ends$")) == 2, bot.output
        assert not bot.found("Traceback"), bot.output


_IN_A_FINALISER = """
import time

from liteyuki_core import LiteyukiBot


class Slow:
    def __del__(self):
        print("in its finaliser", flush=True)
        time.sleep(0.5)


def waits():
    Slow()
    time.sleep(600)


if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("w", waits)
    bot.run()
"""
"""Python drops what is raised in a finaliser, also the interrupt of a stop."""


def test_it_is_interrupted_again_after_a_finaliser(
    tmp_path: Path, environment: Environment
) -> None:
    """A stop whose interrupt meets a finaliser ends the process, without a word of Python's."""
    write_files(tmp_path, {"bot.py": _IN_A_FINALISER})
    with running(tmp_path, environment) as bot:
        bot.wait_for_line("in its finaliser$")
        assert bot.stop() == 0
        assert bot.found("process w exited with code 0$"), bot.output
        assert not bot.found("Traceback|Exception ignored"), bot.output


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors that can be limited")
def test_no_descriptors_left_to_start_a_child(tmp_path: Path, environment: Environment) -> None:
    """At whichever step they run out: it has failed with a line, and nothing else has."""
    with running_program(tmp_path, environment, "supervision.descriptors:at_each_step") as bot:
        went_well(bot)
        failures = int(bot.wait_for_line(r"^(\d+) failures$")[1])
        assert failures > 5
        assert len(bot.found(r"ERROR\] process new can't be started: OSError")) == failures
        assert not bot.found("Traceback|is broken|process old exited with code [1-9]")


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors that can be limited")
def test_a_successor_that_cannot_be_spawned_is_tried_again(
    tmp_path: Path, environment: Environment
) -> None:
    """What a child that ran once lacks for its next process may come back; it is not given up."""
    with running_program(tmp_path, environment, "supervision.descriptors:successor") as bot:
        went_well(bot)
        assert bot.found(r"process echo can't be started: OSError.*tried again in 0\.01 s")
        assert not bot.found("Traceback|is broken")


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors that can be limited")
def test_stopped_while_it_can_not_be_spawned(tmp_path: Path, environment: Environment) -> None:
    """It is stopped, whichever comes first, and can be started again."""
    with running_program(tmp_path, environment, "supervision.descriptors:stopped") as bot:
        went_well(bot)
        assert not bot.found("Traceback|is broken")
