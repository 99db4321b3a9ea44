"""The files for services and containers: what they say is what systemd and a bot understand."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from liteyuki_core.config import Settings
from tests.conftest import ROOT
from tests.program import running_program

UNIT = (ROOT / "deploy/liteyuki.service").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """With paths that are there, it has nothing to say."""
    unit = tmp_path / "liteyuki.service"
    unit.write_text(
        UNIT.replace("/srv/bot/.venv/bin/python", sys.executable).replace("/srv/bot", str(tmp_path))
    )
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    about = [line for line in result.stderr.splitlines() if "liteyuki" in line]
    assert (result.returncode, about) == (0, [])


def test_the_unit_waits_longer_than_the_bot() -> None:
    """Nobody is killed who would have stopped in time."""
    parser = configparser.ConfigParser()
    parser.read_string(UNIT)
    service = parser["Service"]
    assert service["Type"] == "notify"
    assert int(service["TimeoutStopSec"]) > Settings().stop_timeout + 2
    (seconds,) = re.findall(r"--stop-timeout (\d+)", DOCKERFILE)
    assert int(seconds) > Settings().stop_timeout + 2


def test_no_shell_stands_before_the_bot() -> None:
    """Signals come to it."""
    (command,) = re.findall(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)
    assert json.loads(command) == ["python", "bot.py"]


def test_the_health_check(tmp_path: Path, environment: dict[str, str]) -> None:
    """Its exit code follows the bot."""
    (command,) = re.findall(r"^HEALTHCHECK .*CMD (.*)$", DOCKERFILE, re.MULTILINE)
    liteyuki, *arguments = json.loads(command)
    assert liteyuki == "liteyuki"

    def code() -> int:
        return subprocess.run(
            [sys.executable, "-m", "liteyuki_core.cli", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            timeout=60,
        ).returncode

    with running_program(tmp_path, environment, "controlled") as program:
        program.wait_for_line("^all run$")
        assert code() == 0
        assert program.stop() == 0
    assert code() != 0
