"""A child that has turned hostile: main goes on, the others notice nothing, it is ended."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.program import running_program, went_well

Environment = dict[str, str]


@pytest.mark.skipif(sys.platform != "linux", reason="long messages in memory, and its figures")
@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("group", ["frames", "channels", "store", "words"])
def test_a_hostile_child(tmp_path: Path, environment: Environment, group: str, every: int) -> None:
    """Each act in a life of its own, beside a good child that exchanges messages with main.

    Main's loop goes on, it does not grow, the good child misses nothing; what breaks the protocol
    ends the child with one line, anything else has no effect.
    """
    with running_program(tmp_path, environment, "hostile.bot", group, str(every)) as bot:
        went_well(bot, timeout=240)
        print(bot.output)
