"""How a main process can end or break: its children leave within 5 s, and it says why."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.program import Environment, living, running_program, unix

LEAVE_SECONDS = 5.0


def stopped_all(folder: Path) -> bool:
    """Return whether shutdown hooks ran once both children had stopped as they were asked to."""
    return (folder / "exitcodes").read_text(encoding="utf-8") == "[0, 0]"


@unix
def test_a_closed_terminal(tmp_path: Path, environment: Environment) -> None:
    """Everything stops as it would otherwise, though nothing can be written any more."""
    with running_program(tmp_path, environment, "terminal", "endings:both") as terminal:
        try:
            terminal.wait_for_line("^ready")
        except pytest.fail.Exception as failure:
            seen = (tmp_path / "seen").read_text(encoding="utf-8", errors="replace")
            pytest.fail(f"{failure}; the terminal has shown:\n{seen}")
        family = terminal.children()
        assert len(family) >= 3
        (tmp_path / "close").touch()
        ended = terminal.wait_for_line(r"^ended with (-?\d+)", timeout=LEAVE_SECONDS)
        assert ended[1] == "0"
        wait_until(lambda: not living(family), "all have left", LEAVE_SECONDS)
        assert stopped_all(tmp_path)
        assert terminal.wait() == 0


@pytest.mark.parametrize("kind", ["before_start", "after_start", "after_shutdown"])
@pytest.mark.parametrize(
    ("act", "code", "raised"), [("stop", 1, "RuntimeError"), ("exit", 7, "SystemExit")]
)
def test_a_hook_ends_the_loop(
    tmp_path: Path, environment: Environment, kind: str, act: str, code: int, raised: str
) -> None:
    """Children are stopped and shutdown hooks run before `run` passes on what was raised."""
    with running_program(tmp_path, environment, "endings:a_hook", kind, act) as bot:
        bot.wait_for_line("^ends")
        assert bot.wait(LEAVE_SECONDS) == code
        (exits,) = bot.found(r"^exit codes \[(.*)\]")
        assert exits[1] == "0" or (kind == "before_start" and exits[1] == "None"), bot.output
        assert bot.found("LiteyukiBot has stopped$")
        if kind != "after_shutdown":
            assert bot.found(f"LiteyukiBot stops: {raised}")
        assert not bot.found("run returned|ignored its cancellation")


def test_the_hub_breaks(tmp_path: Path, environment: Environment) -> None:
    """The child that it broke for leaves and is started again; main says so and goes on."""
    with running_program(tmp_path, environment, "endings:hub_breaks") as bot:
        bot.wait_for_line("ZeroDivisionError")
        assert bot.wait() == 0
        assert bot.found("^is lost to nobody")
        assert bot.found(r"^restarts \[0, 1\]")
        assert len(bot.found("process echo: its link is ended: .*ZeroDivisionError")) == 1
        assert bot.found(r"in breaks$")


def test_the_supervisor_breaks(tmp_path: Path, environment: Environment) -> None:
    """Nobody knows what its children do then: all is stopped in order, and `run` raises."""
    with running_program(tmp_path, environment, "endings:supervisor_breaks") as bot:
        bot.wait_for_line("CRITICAL.*LiteyukiBot itself is broken")
        assert bot.wait(LEAVE_SECONDS) == 1
        assert bot.found("LiteyukiBot stops: ZeroDivisionError")
        assert bot.found(r"^exit codes \[0, 0, 7\]")
        assert bot.found("in breaks$")
        assert not bot.found("run returned|has not stopped")


@unix
def test_a_signal_while_it_stops_is_answered(tmp_path: Path, environment: Environment) -> None:
    """The first says that it stops already and changes nothing; the next ends all at once."""
    with running_program(
        tmp_path, environment, "endings:stops_itself", LITEYUKI_STOP_TIMEOUT="600"
    ) as bot:
        bot.wait_for_line("^ready")
        family = bot.children()
        (tmp_path / "stop").touch()
        bot.wait_for_line("LiteyukiBot stops: asked to stop")
        bot.process.send_signal(signal.SIGINT)
        bot.wait_for_line(
            "SIGINT: LiteyukiBot is stopping already; one more signal ends everything at once"
        )
        started = bot.found(r"started \(pid (\d+)\)")
        children = [process for process in family if process.pid in {int(m[1]) for m in started}]
        assert len(living(children)) == len(children) == len(started)
        # Signals that come together count as one: repeat it as an impatient user would.
        wait_until(lambda: bot.process.send_signal(signal.SIGINT) or bot.process.poll() is not None)
        bot.wait()
        assert bot.found("SIGINT again: everything is ended at once")
        wait_until(lambda: not living(family), "all are ended")
