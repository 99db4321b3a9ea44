"""What is shown while something takes longer than a second: on a terminal alone.

Tests cli/output.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from liteyuki_core.cli import output
from tests.cli.conftest import Liteyuki
from tests.conftest import wait_until
from tests.program import Program, unix
from tests.terminal import Terminal

WAIT = ("wait", "mortal", "--state", "stopped", "--timeout", "2.5")


def in_terminal(here: Path, environment: dict[str, str], *arguments: str) -> Terminal:
    """Run a command in a terminal."""
    command = [sys.executable, "-m", "liteyuki_core.cli", *arguments]
    return Terminal(command, here, {**environment, "LITEYUKI_LOG_LANG": "en"})


@unix
def test_what_takes_long_is_shown(bot: Program, here: Path, environment: dict[str, str]) -> None:
    """And is wiped away before the answer."""
    terminal = in_terminal(here, environment, *WAIT)
    try:
        terminal.wait_for("waiting for mortal")
        assert terminal.wait() == 1
        assert terminal.text.rstrip().endswith("did not end within 2.5 s: it is running")
        shown = terminal.raw.rindex("waiting for mortal")
        assert "\x1b[2K" in terminal.raw[shown:]
        assert "\x1b[?25h" in terminal.raw[shown:]  # The cursor is there again.
    finally:
        terminal.close()


def test_what_is_quick_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is nothing to read in so short a time."""
    monkeypatch.setenv("FORCE_COLOR", "1")  # As on a terminal.
    monkeypatch.setattr(output, "_PROGRESS_AFTER", 3600.0)
    with output.waiting("for nothing"):
        pass
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(output, "_PROGRESS_AFTER", 0.0)
    with output.waiting("for nothing"):
        wait_until(lambda: "for nothing" in capsys.readouterr().err, "it is shown")


def test_a_pipe_gets_nothing_of_it(bot: Program, liteyuki: Liteyuki) -> None:
    """Only the answer."""
    assert liteyuki(*WAIT, code=1) == ("process mortal did not end within 2.5 s: it is running\n")
