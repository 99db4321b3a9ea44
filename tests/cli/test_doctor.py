"""What keeps a bot from running is found.

Tests cli/doctor.py and cli/listener.py.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

import pytest

from liteyuki_core.cli import listener
from tests.cli.conftest import Liteyuki
from tests.conftest import free_port
from tests.program import main_process, running, unix, write_files


def findings(liteyuki: Liteyuki, code: int = 0, **more: str) -> dict[str, tuple[str, str]]:
    """Return the level and the advice of each finding, by its text."""
    found = json.loads(liteyuki("doctor", "--json", code=code, **more))
    return {each["text"]: (each["level"], each["advice"]) for each in found}


def test_nothing_is_wrong(here: Path, liteyuki: Liteyuki) -> None:
    """Versions, the directory, the settings, the disk and the port are fine; nothing is left."""
    write_files(here, {"bot.py": main_process()})
    port = str(free_port())
    found = findings(liteyuki, PORT=port)
    assert {level for level, _ in found.values()} <= {"ok", "warning"}
    assert found[f"127.0.0.1:{port} is free"] == ("ok", "")
    assert found["no bot runs here"] == ("ok", "")
    assert any(text.startswith("Python 3.") for text in found)
    assert any("nonebot2 2." in text for text in found)
    text = liteyuki("doctor", PORT=port)
    assert "✓ no bot runs here" in text
    assert sorted(path.name for path in here.iterdir()) == ["bot.py"]
    assert "这里没有机器人在运行" in liteyuki("doctor", PORT=port, LITEYUKI_LOG_LANG="zh")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_is_taken(here: Path, liteyuki: Liteyuki, host: str) -> None:
    """By whom is said, where the system tells, and what to do."""
    with socket.create_server((host, 0)) as taken:
        port = taken.getsockname()[1]
        found = findings(liteyuki, code=1, HOST=host, PORT=str(port))
        (text,) = [each for each in found if f"{host}:{port} is taken" in each]
        assert found[text] == ("wrong", "end that program, or set another PORT in .env")
        if sys.platform == "linux":
            assert text.endswith(f", pid {os.getpid()}")
    assert f"✗ {host}:{port} is taken" not in liteyuki("doctor", HOST=host, PORT=str(port))


@pytest.mark.parametrize("way", ["_from_proc", "_from_psutil"])
def test_who_listens(way: str) -> None:
    """Both ways find this process, and nobody on a port that is free."""
    if way == "_from_proc" and sys.platform != "linux":
        pytest.skip("there is no /proc here")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = getattr(listener, way)(taken.getsockname()[1])
        assert found.pid == os.getpid()
        assert found.name
    assert getattr(listener, way)(free_port()) is None


def test_the_bots_own_port_is_fine(
    here: Path, environment: dict[str, str], liteyuki: Liteyuki
) -> None:
    """NoneBot listens there."""
    port = free_port()
    write_files(here, {"bot.py": main_process(), ".env": f"PORT={port}\n"})
    with running(here, environment) as program:
        program.wait_for_line("process nonebot is ready")
        found = findings(liteyuki)
        assert found["a bot runs here: liteyuki status"] == ("ok", "")
        if sys.platform == "linux":
            assert found[f"this bot listens on 127.0.0.1:{port}"] == ("ok", "")
        assert program.stop() == 0


def test_a_bot_without_control(here: Path, environment: dict[str, str], liteyuki: Liteyuki) -> None:
    """It is noticed by its lock."""
    write_files(here, {"bot.py": main_process()})
    port = str(free_port())
    with running(here, environment, LITEYUKI_CONTROL="false", PORT=port) as program:
        program.wait_for_line("process nonebot is ready")
        found = findings(liteyuki, code=1, PORT=port)
        level, advice = found["a bot runs here, but its control socket does not answer"]
        assert level == "warning"
        assert "LITEYUKI_CONTROL may be false" in advice
        assert program.stop() == 0


def test_settings_that_are_wrong(here: Path, liteyuki: Liteyuki) -> None:
    """What is not allowed, what is not known, and a port that is none."""
    port = str(free_port())
    found = findings(liteyuki, code=1, LITEYUKI_STOP_TIMEOUT="soon", PORT=port)
    (text,) = [each for each in found if "LITEYUKI_STOP_TIMEOUT=soon" in each]
    assert found[text][0] == "wrong"
    found = findings(liteyuki, LITEYUKI_STOP_TIMEOT="1", PORT=port)
    (text,) = [each for each in found if "did you mean LITEYUKI_STOP_TIMEOUT?" in each]
    assert found[text][0] == "warning"
    assert findings(liteyuki, code=1, PORT="many")["PORT=many is no port"][0] == "wrong"
    assert "there is no bot.py in " in liteyuki("doctor", PORT=port)


@unix
def test_secrets_that_others_can_read(here: Path, liteyuki: Liteyuki) -> None:
    """The file is named, the secret is not."""
    port = str(free_port())
    file = here / ".env"
    file.write_text("ONEBOT_ACCESS_TOKEN=my-s3cret\n", encoding="utf-8")
    file.chmod(0o644)
    text = "other users can read .env, which has secrets"
    assert findings(liteyuki, PORT=port)[text] == ("warning", "chmod 600 .env")
    assert "my-s3cret" not in liteyuki("doctor", PORT=port)
    file.chmod(0o600)
    assert text not in findings(liteyuki, PORT=port)
