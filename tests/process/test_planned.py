"""Restarts by memory and by the time of the day, and children that depend on others.

Tests process/memory.py, process/planned.py, process/supervisor.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from liteyuki_core.process import memory
from tests.conftest import wait_until
from tests.program import (
    Environment,
    program_command,
    program_environment,
    running_program,
    spoken,
    unix,
    went_well,
)


@unix
def test_dependencies(tmp_path: Path, environment: Environment) -> None:
    """They are RUNNING first and end last. One that is restarted restarts nobody else."""
    with running_program(tmp_path, environment, "programs:depends") as program:
        went_well(program)
        started, runs, ends = spoken(program)
        assert set(started.split()) == {"started", "web", "napcat", "free"}
        assert runs == "runs web 0 napcat 1 bot 0 page 0 free 0"
        assert ends == "ends page bot napcat"
        assert program.found("process bot waits for process napcat, on which it depends")
        assert program.found("process page waits for process bot, on which it depends")


@unix
def test_a_dependency_that_has_failed(tmp_path: Path, environment: Environment) -> None:
    """Lets the child fail that depends on it; when it runs, that one can be started."""
    with running_program(tmp_path, environment, "programs:depends_in_vain") as program:
        went_well(program)
        (outcome,) = spoken(program)
        assert "it depends on napcat, and process napcat is failed" in outcome
        assert program.found("process bot can't be started: it depends on napcat"), program.output
        assert program.found("process bot: it was stopped before it was started|process bot .*stop")


@unix
def test_too_much_memory(tmp_path: Path, environment: Environment) -> None:
    """The tree of a program and a Python child are restarted, and it is no crash."""
    with running_program(tmp_path, environment, "programs:eats") as program:
        went_well(program)
        restarts, eats = spoken(program)
        assert restarts == "restarts eats 1 swells 1 small 0"
        assert eats == "eats starting running stopping starting running"
        found = program.found(r"process eats is restarted: it has (\d+) MB of memory, and its (.*)")
        assert int(found[0][1]) > 150
        assert found[0][2] == "max_memory is 150 MB"
        assert program.found("process swells is restarted: it has")


def test_every_day(tmp_path: Path, environment: Environment) -> None:
    """Once, at the time that is given; who is stopped stays so."""
    with running_program(tmp_path, environment, "programs:every_day") as program:
        went_well(program)
        assert spoken(program) == ["restarts napcat 1 bot 1 later 0 stopped 0"]
        assert len(program.found("process napcat is restarted: it is 04:30")) == 1


@pytest.mark.parametrize("by", ["linux", "psutil"])
def test_memory_of_a_tree(
    by: str, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of all its processes, about as the system's tools say."""
    if by == "linux" and sys.platform != "linux":
        pytest.skip("only Linux has /proc so")
    monkeypatch.setattr(memory.sys, "platform", by)
    with subprocess.Popen(
        program_command("executables:eats", "100"),
        env=program_environment(environment),
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == b"full"
            tree = psutil.Process(process.pid)
            (child,) = tree.children()
            whole = tree.memory_info().rss + child.memory_info().rss
            assert whole > 100 << 20
            assert memory.of_tree(process.pid, process.pid) == pytest.approx(whole, rel=0.05)
            assert memory.of_tree(process.pid, child.pid) == pytest.approx(
                child.memory_info().rss, rel=0.05
            )
            assert memory.of_tree(os.getpid(), os.getpid()) > whole
        finally:
            for one in (*tree.children(), tree):
                one.kill()
    wait_until(lambda: memory.of_tree(process.pid, process.pid) == 0)
