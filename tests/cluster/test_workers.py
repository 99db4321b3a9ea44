"""Calls of functions in workers, in a cluster: real main processes over a real server.

Tests comm/workers.py, comm/ends/crossing.py, process/child/worker.py.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.nats import NatsServer
from tests.program import Environment, Program, running_program, went_well


@pytest.fixture
def cluster(environment: Environment, nats: NatsServer) -> Environment:
    """The environment of main processes in one cluster."""
    return {**environment, "LITEYUKI_NATS_URL": nats.url}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A folder for each of two nodes."""
    found = tmp_path / "a", tmp_path / "b"
    for folder in found:
        folder.mkdir()
    return found


def test_calls_at_home(tmp_path: Path, cluster: Environment) -> None:
    """Arguments and results between processes of one node are what they are without a cluster."""
    with running_program(tmp_path, cluster, "reaching:at_home", LITEYUKI_NODE="a") as bot:
        went_well(bot)
        assert not bot.found("Traceback|has not stopped|is left"), bot.output


@pytest.mark.parametrize("door", ["async", "sync"])
def test_calls_of_another_node(folders: tuple[Path, Path], cluster: Environment, door: str) -> None:
    """What they return and raise, by both doors, and what becomes of workers."""
    with (
        running_program(folders[0], cluster, "reaching:home", LITEYUKI_NODE="a") as home,
        running_program(folders[1], cluster, "reaching:away", door, LITEYUKI_NODE="b") as away,
    ):
        home.wait_for_line("^> ready$", timeout=60)
        went_well(away)
        assert not away.found("Traceback|has not stopped|is left"), away.output
        assert home.stop() == 0, home.output


def test_the_other_node_is_killed(folders: tuple[Path, Path], cluster: Environment) -> None:
    """Each call has an end: its result, or an error that says who is gone. Calls that come when it
    is back have results again.
    """
    with ExitStack() as stack:

        def start() -> Program:
            home = stack.enter_context(
                running_program(folders[0], cluster, "reaching:home", LITEYUKI_NODE="a")
            )
            home.wait_for_line("^> ready$", timeout=60)
            return home

        home = start()
        away = stack.enter_context(
            running_program(folders[1], cluster, "reaching:goes_on", LITEYUKI_NODE="b")
        )
        away.wait_for_line("^> result$", 50, timeout=60)
        assert not away.found("^> .*Error"), away.output
        home.process.kill()
        home.wait()
        away.wait_for_line("^> ProcessStartError .*node a .*gone", 10, timeout=60)
        count = len(away.found("^> result$"))
        start()
        away.wait_for_line("^> result$", count + 50, timeout=60)
        assert not away.found("Traceback"), away.output
        assert away.stop() == 0
