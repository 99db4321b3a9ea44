"""A child that runs NoneBot by itself, without the launcher: where its callbacks run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import free_port, in_full
from tests.program import running_program

WRONG = r"警告.*channel own-\w+: its callbacks run on a loop of their own and not on NoneBot's; .*"


@pytest.mark.parametrize(
    "when", [*in_full("before it is there", "when it is there"), "when it runs"]
)
def test_callbacks_on_another_loop_are_warned_about(
    tmp_path: Path, environment: dict[str, str], when: str
) -> None:
    """Once, with the mend, whichever was there first."""
    arguments = (when, "~fastapi", False, free_port())
    with running_program(tmp_path, environment, "own_nonebot", json.dumps(arguments)) as program:
        program.wait_for_line("message 2 on liteyuki-callbacks$")
        assert program.stop() == 0
        assert len(program.found("their own and not on NoneBot's")) == 1, program.output
        mend = r"set DRIVER=~fastapi\+liteyuki_core.frameworks.nonebot, or load the plugin nonebot_"
        assert program.found(WRONG + mend), program.output


@pytest.mark.parametrize(
    ("driver", "plugin"),
    [("~fastapi+liteyuki_core.frameworks.nonebot", False), ("~fastapi", True), ("~none", True)],
)
@pytest.mark.parametrize("when", [*in_full("when it is there"), "when it runs"])
def test_with_the_mend(
    tmp_path: Path, environment: dict[str, str], when: str, driver: str, plugin: bool
) -> None:
    """Callbacks run on NoneBot's loop, and nothing is said."""
    arguments = (when, driver, plugin, free_port())
    with running_program(tmp_path, environment, "own_nonebot", json.dumps(arguments)) as program:
        program.wait_for_line("message 2 on MainThread$")
        assert program.stop() == 0
        assert not program.found("their own and not on NoneBot's"), program.output
