"""Channels among the arguments of a child, and the last lines of one that has died."""

from __future__ import annotations

from pathlib import Path

from tests.program import Environment, running_program, spoken, went_well


def test_channels_in_arguments(tmp_path: Path, environment: Environment) -> None:
    """Named, without a name, a queue, one twice: after a restart and after a crash as well."""
    with running_program(tmp_path, environment, "supervision.arguments:channels") as bot:
        went_well(bot)
        (line,) = spoken(bot)
        assert line.startswith("process another: the child could not import")
        assert "is closed" in line


def test_the_last_lines_of_who_has_died(tmp_path: Path, environment: Environment) -> None:
    """`ChannelBroken` has them, in the main process and in another child, and through a channel."""
    with running_program(tmp_path, environment, "supervision.arguments:broken") as bot:
        went_well(bot)
