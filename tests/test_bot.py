"""LiteyukiBot as a program: children, hooks, signals, deadlines, bad input.

Tests hooks.py, signals.py, stop.py, process/stopping.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import wait_until
from tests.program import (
    Environment,
    living,
    python,
    running,
    running_program,
    unix,
    write_files,
)

READY = "^ready"
"""A child's line; where there are several it begins with the child's name."""

pytestmark = pytest.mark.filterwarnings("error")


def pids(bot: Any) -> list[psutil.Process]:
    """Return the children that have said they are ready."""
    return [psutil.Process(int(match[1])) for match in bot.found(READY + r" (\d+)")]


# ------------------------------------------------------------- running and stopping


def test_runs_until_stopped(tmp_path: Path, environment: Environment) -> None:
    """run() goes on when all hooks and children have ended, and returns after stop()."""
    with running_program(tmp_path, environment, "bot_stops:stops_itself") as bot:
        assert bot.wait() == 0
        bot.wait_for_line("^run returned")
        assert bot.found("still here")
        assert bot.found("<ChildProcess 'echo' running pid=")
        assert bot.found("process short exited with code 0")
        assert bot.found("process echo exited with code 0")
        assert not bot.found("Traceback|has not stopped")


def test_a_bot_with_nothing_to_do_says_so(tmp_path: Path, environment: Environment) -> None:
    """It runs all the same: another thread may add a process."""
    bot = """
        from liteyuki_core import LiteyukiBot

        if __name__ == "__main__":
            LiteyukiBot().run()
    """
    write_files(tmp_path, {"bot.py": bot})
    with running(tmp_path, environment) as program:
        program.wait_for_line("there is nothing to do: no process, program, plugin or hook")
        assert program.stop() == 0


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("SIGINT"),
        pytest.param("SIGTERM", marks=unix),
        pytest.param("SIGHUP", marks=unix),
    ],
)
def test_a_signal_stops_gracefully(tmp_path: Path, environment: Environment, name: str) -> None:
    """Each child is asked, all have ended when run() returns, and it returns normally."""
    with running_program(tmp_path, environment, "bot_stops:by_a_signal", name) as bot:
        bot.wait_for_line(READY)
        family = bot.children()
        if name == "SIGINT":
            bot.interrupt()
        else:
            os.kill(bot.process.pid, getattr(signal, name))
        assert bot.wait() == 0
        assert bot.found("run returned")
        wait_until(lambda: not living(family), "all are ended")
        assert not bot.found("Traceback|has not stopped"), bot.output
        assert len(bot.found("exited with code 0$")) == 2


@unix
def test_ctrl_c_in_the_terminal_reaches_the_main_process_alone(
    tmp_path: Path, environment: Environment
) -> None:
    """Children have left the terminal's process group: main decides how they stop."""
    with running_program(tmp_path, environment, "bot_stops:hosts", "waits") as bot:
        bot.wait_for_line(READY)
        (child,) = pids(bot)
        assert os.getpgid(child.pid) != os.getpgid(bot.process.pid)
        assert bot.stop() == 0
        assert not bot.found("Traceback|KeyboardInterrupt")


@unix
def test_started_with_signals_ignored(tmp_path: Path, environment: Environment) -> None:
    """As under nohup: SIGHUP stays ignored, children are stopped all the same."""
    with running_program(tmp_path, environment, "bot_stops:signals_ignored") as bot:
        bot.wait_for_line(READY)
        bot.process.send_signal(signal.SIGHUP)
        bot.process.send_signal(signal.SIGTERM)
        assert bot.wait() == 0
        assert bot.found("LiteyukiBot stops: SIGTERM")
        assert bot.found("process waits exited with code 0")


def test_a_message_in_hand_is_finished(tmp_path: Path, environment: Environment) -> None:
    """A child whose main thread receives ends after the message it has, not in the middle."""
    with running_program(tmp_path, environment, "bot_stops:in_hand") as bot:
        bot.wait_for_line("^begun")
        assert bot.stop() == 0
        assert bot.found("^finished")
        assert bot.found("process worker exited with code 0")


def test_what_a_child_sends_at_its_end_arrives(tmp_path: Path, environment: Environment) -> None:
    """All that was accepted before a target returns is delivered."""
    with running_program(tmp_path, environment, "bot_stops:last_messages") as bot:
        assert bot.wait() == 0
        assert bot.found("all there")


@unix
def test_a_child_that_will_not_stop_is_killed(tmp_path: Path, environment: Environment) -> None:
    """Asked, terminated, then killed by the deadline; the others have stopped before."""
    with running_program(
        tmp_path, environment, "bot_stops:hosts", "stubborn", "echo", LITEYUKI_STOP_TIMEOUT="4"
    ) as bot:
        bot.wait_for_line(READY)
        bot.wait_for_line("process echo is ready")
        assert bot.stop() == 0
        assert bot.found("process stubborn has not stopped: terminate")
        assert bot.found("process stubborn has not stopped: kill")
        assert bot.found(r"process stubborn was ended by signal 9 \(SIGKILL\)")
        assert bot.found("process echo exited with code 0")


@unix
def test_a_second_signal_ends_everything_at_once(tmp_path: Path, environment: Environment) -> None:
    """However long the deadline, a second signal kills what is left."""
    with running_program(
        tmp_path, environment, "bot_stops:hosts", "stubborn", LITEYUKI_STOP_TIMEOUT="600"
    ) as bot:
        bot.wait_for_line(READY)
        family = bot.children()
        bot.interrupt()
        bot.wait_for_line("LiteyukiBot stops: SIGINT")
        # Signals that come together count as one: repeat it as an impatient user would.
        wait_until(
            lambda: bot.process.send_signal(signal.SIGTERM) or bot.process.poll() is not None
        )
        bot.wait()
        assert bot.found("everything is ended at once")
        wait_until(lambda: not living(family), "all are ended")


@unix
@pytest.mark.parametrize("how", ["hung_loop", "busy_loop"])
def test_a_hung_loop_is_ended_by_force(tmp_path: Path, environment: Environment, how: str) -> None:
    """A hook that blocks the main loop for ever can't keep the program from ending.

    Nor can one in a long call that runs no Python, so that no signal handler runs either.
    """
    with running_program(
        tmp_path, environment, f"bot_stops:{how}", LITEYUKI_STOP_TIMEOUT="1"
    ) as bot:
        bot.wait_for_line("^blocking")
        bot.wait_for_line(READY)
        family = bot.children()
        bot.interrupt()
        assert bot.wait() == 1
        assert bot.found("CRITICAL.*hangs")
        wait_until(lambda: not living(family))


def test_main_is_killed(tmp_path: Path, environment: Environment) -> None:
    """However the main process dies, every child notices and leaves within 5 s."""
    with running_program(tmp_path, environment, "bot_stops:main_is_killed") as bot:
        bot.wait_for_line(READY, 4)
        children = pids(bot)
        bot.process.kill()
        wait_until(lambda: not living(children), "all children gone", timeout=5)


def test_a_child_crash_is_felt_by_nobody_else(tmp_path: Path, environment: Environment) -> None:
    """One child dies by os._exit in the middle of a message; another and main go on."""
    with running_program(tmp_path, environment, "bot_stops:a_child_crashes") as bot:
        assert bot.wait() == 0
        assert len(bot.found("got ChannelBroken channel crashes-active: .*exited with code 7")) == 2
        assert bot.found("^last")
        assert bot.found("ERROR.*process crashes exited with code 7")


# ------------------------------------------------------------- hooks


def test_hooks(tmp_path: Path, environment: Environment) -> None:
    """Sync and async, in their order, on the right threads; one that raises is logged."""
    with running_program(tmp_path, environment, "bot_hooks:all_kinds") as bot:
        assert bot.wait() == 0
        assert [match[1] for match in bot.found("^hook (.*)")] == [
            "before sync False",
            "before async True",
            "after async True",
            "shutdown last added True",
            "shutdown first added True",
        ]
        for when in ("before", "after", "shutdown"):
            assert bot.found(f"ERROR.*hook .*trouble {when}")
            assert bot.found(f"^ValueError: trouble {when}")


def test_a_hook_that_raises_while_the_bot_stops(tmp_path: Path, environment: Environment) -> None:
    """A sync hook's thread is not waited for, but what it raises is still logged."""
    with running_program(tmp_path, environment, "bot_hooks:late") as bot:
        assert bot.wait() == 0
        assert bot.found("ERROR.*on_after_start hook .*raises_late raised .*trouble late")


@pytest.mark.parametrize("kind", ["before_start", "after_start", "after_shutdown"])
@pytest.mark.parametrize("door", ["async", "sync"])
def test_a_hook_that_never_returns(
    tmp_path: Path, environment: Environment, kind: str, door: str
) -> None:
    """It doesn't keep the bot from stopping, nor the other hooks from running."""
    with running_program(
        tmp_path, environment, "bot_hooks:never_returns", kind, door, LITEYUKI_STOP_TIMEOUT="1"
    ) as bot:
        bot.wait_for_line("^begun")
        assert bot.stop() == 0
        assert bot.found("run returned")
        if kind != "after_shutdown":
            assert bot.found("^last hook")
        else:
            assert bot.found("ERROR.*hook.*did not end in time")


# ------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ('bot.add_process("a", echo); bot.add_process("a", echo)', "ProcessExists: .*'a'"),
        ('bot.add_process("", echo)', "ValueError: a name must have"),
        ("bot.add_process(3, echo)", "TypeError: a name must be a string"),
        ('bot.add_process("a", lambda: 1)', "ProcessStartError: process a: .*top of a module"),
        ('bot.add_process("a", "no_colon")', "ProcessStartError: .*package.module:function"),
        ('bot.add_process("a", 3)', "ProcessStartError: process a: .*not int"),
        ('bot.add_process("a", echo, (threading.Lock(),))', "ProcessStartError: process a"),
        ('bot.add_process("a", echo, restart="always")', "TypeError: .*RestartPolicy, not str"),
        (
            'bot.add_process("a", echo, replicas=0)',
            "ValueError: replicas must be at least 1, not 0",
        ),
        (
            'bot.add_process("a", echo, replicas=True)',
            "TypeError: replicas must be an int, not bool",
        ),
        ('bot.add_process("a", echo, replicas=2)', "ConfigError: process a: replicas=2 need"),
        (
            'bot.add_process("a-1", echo); bot.add_process("a", echo, gateway=True, replicas=2)',
            "ProcessExists: .*'a-1'",
        ),
        ('bot.restart_process("b")', r"ProcessNotFound: .*'b' \(there are: none\)"),
        ('get_channel("nobody-active")', "ChannelNotFound: no channel is named 'nobody-active'"),
        ("active_channel.send(1)", r'NotConnected: .*get_channel\("NAME-active"\)'),
        ("bot.run(); bot.run()", "LiteyukiError: .*has run"),
    ],
)
def test_clear_errors(tmp_path: Path, environment: Environment, line: str, error: str) -> None:
    """Each mistake raises an error of ours that says what happened and to what."""
    line = ("bot.stop()\n" if "run()" in line else "") + line
    with running_program(tmp_path, environment, "bot_targets:a_line", line) as bot:
        assert bot.wait() == 1
        assert bot.found(error)


@pytest.mark.parametrize(
    ("target", "code", "line"),
    [
        ("no_such_module:main", 1, "can't be imported: ModuleNotFoundError.*no_such_module"),
        ("os:no_such_name", 1, "can't be imported: AttributeError.*no_such_name"),
        ("os:sep", 1, "os:sep is a str, not a callable"),
        ("exits", 5, "process bad exited with code 5"),
        ("raises", 1, "process bad: .*raises raised"),
    ],
)
def test_a_target_that_can_not_run(
    tmp_path: Path, environment: Environment, target: str, code: int, line: str
) -> None:
    """The log says why and with which exit code; the channel breaks; main lives on."""
    with running_program(tmp_path, environment, "bot_targets:cannot_run", target) as bot:
        assert bot.wait() == 0
        assert bot.found(line)
        assert bot.found(f"ERROR.*process bad exited with code {code}")
        assert bot.found("main got ChannelBroken")


_ENDS = """
from liteyuki_core import LiteyukiBot
from liteyuki_core.process import RestartPolicy

def fails():
    raise SystemExit(3)

def ends():
    pass

if __name__ == "__main__":
    bot = LiteyukiBot()
    once = RestartPolicy(mode="never")
    bot.add_process("a", fails, restart=once)
    bot.add_process("b", {second}, restart=once{watch})
    bot.run({keep})
"""
_ALL_FAILED = "every process has failed"


def test_when_all_have_failed_it_ends_with_exit_code_1(
    tmp_path: Path, environment: Environment
) -> None:
    """So that whoever has started it notices. One line says so."""
    write_files(tmp_path, {"bot.py": _ENDS.format(second="fails", watch="", keep="")})
    with running(tmp_path, environment) as bot:
        assert bot.wait() == 1
        assert len(bot.found(f"CRITICAL.*{_ALL_FAILED}")) == 1
        assert bot.found("LiteyukiBot has stopped")
        assert not bot.found("Traceback")


@pytest.mark.parametrize(
    "how",
    [
        {"second": "fails", "keep": "keep=True"},
        {"second": "fails", "watch": ', watch=["bot.py"]'},
        {"second": "ends"},
    ],
    ids=["kept", "a change would start one", "one has ended as it should"],
)
def test_otherwise_it_goes_on(
    tmp_path: Path, environment: Environment, how: dict[str, str]
) -> None:
    """When it was asked to, or not all of its processes have failed for good."""
    write_files(tmp_path, {"bot.py": _ENDS.format(**{"watch": "", "keep": "", **how})})
    with running(tmp_path, environment) as bot:
        bot.wait_for_line("process a exited with code 3")
        bot.wait_for_line("process b exited with code")
        with pytest.raises(subprocess.TimeoutExpired):
            bot.process.wait(0.5)
        assert bot.stop() == 0
        assert not bot.found(_ALL_FAILED)


def test_a_missing_guard_is_explained(tmp_path: Path, environment: Environment) -> None:
    """Without `if __name__ == "__main__":` each child says what to do."""
    bot = """
        from liteyuki_core import LiteyukiBot

        bot = LiteyukiBot()
        bot.add_process("echo", "os:getpid")
        bot.run()
    """
    write_files(tmp_path, {"bot.py": bot})
    with running(tmp_path, environment) as bot:
        bot.wait_for_line("__main__.*:` *$|if __name__ == ")
        bot.wait_for_line("process echo exited with code 1")
        assert bot.wait() == 1


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("LITEYUKI_LOG_LEVEL", "LOUD", "'INFO'"),
        ("LITEYUKI_LOG_LANG", "fr", "'zh' or 'en'"),
        ("LITEYUKI_LOG_ICON", "perhaps", "boolean"),
        ("LITEYUKI_STOP_TIMEOUT", "-1", "greater than 0"),
        ("LITEYUKI_MAX_MESSAGE_BYTES", "many", "integer"),
    ],
)
def test_a_broken_setting(
    tmp_path: Path, environment: Environment, key: str, value: str, allowed: str
) -> None:
    """The error names the key as it stands in .env, its value and what is allowed."""
    environment.pop(key, None)
    write_files(tmp_path, {".env": f"{key}={value}\n"})
    with running_program(tmp_path, environment, "bot_stops:hosts") as bot:
        assert bot.wait() == 1
        assert bot.found(f"ConfigError: {key}={value}: .*{allowed}")


def test_get_bot_in_a_child(tmp_path: Path, environment: Environment) -> None:
    """There, and without a LiteyukiBot, it says where it belongs."""
    result = python("from liteyuki_core import get_bot; get_bot()", tmp_path, environment)
    assert result.returncode == 1
    assert "NotConnected: there is no LiteyukiBot in this process" in result.stdout


def test_a_liteyukibot_in_a_child(tmp_path: Path, environment: Environment) -> None:
    """Wherever it is made: it is refused and says what to use, and the connection stays."""
    with running_program(tmp_path, environment, "bot_targets:bots_in_a_child") as bot:
        assert bot.wait(60) == 0
        told = bot.found("^told LiteyukiError: this is child process child, .* get_channel, ")
        assert len(told) == 3, bot.output
        assert bot.found("^told still connected")
        assert bot.found("may have its own$"), bot.output


def test_a_missing_guard_in_a_module_that_bot_py_imports(
    tmp_path: Path, environment: Environment
) -> None:
    """The main file is imported again in each child, and with it what makes a LiteyukiBot."""
    write_files(
        tmp_path,
        {
            "made.py": "from liteyuki_core import LiteyukiBot\n\nbot = LiteyukiBot()\n",
            "bot.py": """
                from made import bot

                if __name__ == "__main__":
                    bot.add_process("echo", "os:getpid")
                    bot.run()
            """,
        },
    )
    with running(tmp_path, environment) as bot:
        bot.wait_for_line("LiteyukiError: bot.py is imported again by each child process")
        bot.wait_for_line("process echo exited with code 1")
        assert bot.wait() == 1


@unix
def test_a_fork_lets_go_of_the_link(tmp_path: Path, environment: Environment) -> None:
    """A copy of a child made by fork can't use its channels, and doesn't hide its death.

    It has left the child's group; otherwise it would be ended with it.
    """
    with running_program(tmp_path, environment, "bot_targets:fork") as bot:
        assert bot.wait() == 0
        assert bot.found("^from the child")
        assert bot.found("copy got NotConnected")
        assert bot.found("main got ChannelBroken")


def test_a_process_added_while_running_starts(tmp_path: Path, environment: Environment) -> None:
    """add_process from a hook starts the child at once; its channels exist before."""
    with running_program(tmp_path, environment, "bot_targets:added_late") as bot:
        assert bot.wait() == 0
        assert bot.found("echoed hello")


def test_an_async_target_runs_to_its_end(tmp_path: Path, environment: Environment) -> None:
    """A coroutine function is run, and stops when asked."""
    with running_program(tmp_path, environment, "bot_targets:an_async_target") as bot:
        assert bot.wait() == 0
        assert bot.found("got 42")
        assert not bot.found("Traceback|has not stopped")


def test_garbage_on_a_link(tmp_path: Path, environment: Environment) -> None:
    """The link ends with one log line that names the process; main and the others live on."""
    with running_program(tmp_path, environment, "bot_targets:garbage") as bot:
        assert bot.wait() == 0
        assert (
            len(
                bot.found(
                    "ERROR.*process nonsense: its link is ended: bytes 6e6f6e73656e73.* no frame"
                )
            )
            == 1
        )
        assert bot.found("main got ChannelBroken")
        assert bot.found("^still here")
        assert not bot.found("Traceback")


def test_children_talk_to_each_other(tmp_path: Path, environment: Environment) -> None:
    """A channel made in a child is got by name in another; main only passes it on."""
    with running_program(tmp_path, environment, "bot_targets:child_to_child") as bot:
        assert bot.wait() == 0
        assert bot.found("^result")
        assert not bot.found("Traceback|WARNING")
