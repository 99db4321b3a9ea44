"""The command line as a process, in the directory of a bot that runs or of none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import DEADLINE
from tests.control.conftest import bot as bot
from tests.control.conftest import here as here

Liteyuki = Callable[..., str]


@pytest.fixture
def liteyuki(here: Path, environment: dict[str, str]) -> Liteyuki:
    """Run a command to its end, which must have the exit code `code`; return what it has written.

    It is in English unless `more` says otherwise.
    """

    def run(*arguments: str, code: int = 0, **more: str) -> str:
        result = subprocess.run(
            [sys.executable, "-m", "liteyuki_core.cli", *arguments],
            cwd=here,
            env={**environment, "LITEYUKI_LOG_LANG": "en", **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=3 * DEADLINE,
        )
        assert result.returncode == code, result.stdout
        assert "Traceback" not in result.stdout
        return result.stdout

    return run
