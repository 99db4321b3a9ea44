"""Who waits for a child's end: exit codes that are lost on the way, and process numbers.

Tests process/life.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.program import Environment, running_program, spoken, went_well

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="exit codes as Unix has them")


@pytest.mark.parametrize(
    "arguments", [["reaping:ignored_by_its_starter"], ["reaping:ignored", "by itself"]], ids=str
)
def test_ends_of_children_are_ignored(
    tmp_path: Path, environment: Environment, arguments: list[str]
) -> None:
    """SIGCHLD ignored hides no exit code while the bot runs, and is ignored again after that."""
    with running_program(tmp_path, environment, *arguments) as bot:
        went_well(bot)
        assert bot.found("process w exited with code 7; .*it is started again in"), bot.output
        assert len(bot.found("process (w|other) exited with code 0$")) == 2
        assert spoken(bot) == ["ignored again True"]
        assert not bot.found("Traceback|not known"), bot.output


@pytest.mark.parametrize("somebody", ["waits for any child", "ignores them"])
def test_somebody_else_reaps(tmp_path: Path, environment: Environment, somebody: str) -> None:
    """The end is noticed and its code said to be unknown: a crash, unless it was in order."""
    unknown = r"has ended; its exit code is not known \(something else in this process has .* it\)"
    lost, ended = f"(?:{unknown}|exited with code 7)", f"(?:{unknown}|exited with code 0)"
    if "ignores" in somebody:
        lost = ended = unknown  # Nobody can be quicker than the system itself.
    with running_program(tmp_path, environment, "reaping:reaped", somebody) as bot:
        went_well(bot)
        assert len(bot.found(f"ERROR.*process w {lost}; .*started again in")) == 2
        assert bot.found(f"process returns {ended}$"), bot.output
        assert bot.found(f"process waits {ended}; it is started again"), bot.output
        assert not bot.found("Traceback|has not stopped"), bot.output


def test_a_number_names_a_living_process_or_nobody(
    tmp_path: Path, environment: Environment
) -> None:
    """`pid` is None from before the process is reaped, `last_pid` stays until there is another."""
    with running_program(tmp_path, environment, "reaping:numbers") as bot:
        went_well(bot)
        assert spoken(bot) == ["looked"], bot.output
