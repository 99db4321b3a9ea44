"""A bot that runs, and a client of its control socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.program import Program, running_program

CHILDREN = ("echo", "waits", "fragile", "works", "mortal")
"""The processes of `tests/children/controlled.py`, in their order."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, where no bot runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bot(here: Path, environment: dict[str, str]) -> Iterator[Program]:
    """A bot that runs in this directory, all its processes ready."""
    with running_program(here, environment, "controlled") as program:
        program.wait_for_line("^all run$")
        yield program
        if program.process.poll() is None:
            assert program.stop() == 0, program.output
        assert not program.found("Traceback|code has run"), program.output
