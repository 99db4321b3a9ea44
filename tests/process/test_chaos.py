"""Some time of everything that can happen to children, while messages flow: nothing is lost."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.conftest import a_little
from tests.program import Program, running_program, went_well, write_files


@pytest.mark.skipif(sys.platform == "win32", reason="it sends signals as Unix has them")
@a_little(5, 60)
def test_chaos(tmp_path: Path, environment: dict[str, str], times: int) -> None:
    """SIGKILL, SIGSTOP, exceptions, exits, restarts and reloads of four children."""
    names = ("receives", "callbacks", "loops", "nonebot")
    write_files(tmp_path, {f"watched/{name}.py": "# a file\n" for name in names})
    environment |= {"DRIVER": "~none", "LITEYUKI_MAX_REDELIVERIES": "1000"}
    environment |= {"LITEYUKI_LOG_FILE": "log/bot.log"}
    with running_program(tmp_path, environment, "chaos_bot", str(times), "2026") as bot:
        bot.wait_for_line("^happened", timeout=times + 120)
        _well(bot)


def _well(bot: Program) -> None:
    went_well(bot)
    assert not bot.found("is given up|has ended with .* not acknowledged|can't be"), bot.output
    assert not bot.found("ignored its cancellation|did not end in time"), bot.output
