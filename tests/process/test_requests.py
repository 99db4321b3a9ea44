"""Requests between real processes (laws R2 and R3)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.program import Environment, running_program, went_well


def test_a_child_that_is_killed_while_it_answers(tmp_path: Path, environment: Environment) -> None:
    """Its successors answer what it had; no request is lost, no answer is another's."""
    with running_program(tmp_path, environment, "requests:killed") as bot:
        went_well(bot)


def test_a_child_without_a_successor(tmp_path: Path, environment: Environment) -> None:
    """Whoever waits for its answer gets `ChannelBroken`, which names it."""
    with running_program(tmp_path, environment, "requests:broken") as bot:
        went_well(bot)


def test_children_that_answer_nothing(tmp_path: Path, environment: Environment) -> None:
    """The asker hears so soon after they are ready, and who it is."""
    with running_program(tmp_path, environment, "requests:unanswered") as bot:
        went_well(bot)


@pytest.mark.parametrize("count", [3_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_requests_that_are_given_up(tmp_path: Path, environment: Environment, count: int) -> None:
    """A third of them, at any moment: memory and tables are where they were."""
    with running_program(tmp_path, environment, "requests:given_up", str(count)) as bot:
        went_well(bot)
