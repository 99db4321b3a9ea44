"""Plugins of LiteyukiBot v6 as they are on PyPI, installed with what they depend on, and run.

The installation needs a network; the bot has none.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.compat.projects import MAIN
from tests.conftest import ROOT, free_port
from tests.program import Environment, running, stopped_by_itself, write_files
from tests.session.onebot import address_of, onebot

PACKAGES = ("liteyukibot-plugin-nonebot", "liteyukibot-plugin-antidislink", "nonebot2[fastapi]")
AICHAT = "liteyuki-plugin-aichat==0.0.0.dev5"

CONFIG = """
    liteyuki:
      plugin_dirs: []
      plugins:
        - liteyukibot_plugin_nonebot
        - liteyukibot_plugin_antidislink
        - liteyuki_plugin_aichat
    antidislink:
      keywords: [show me]
      replies: [No dislink]
    nonebot: {{host: 127.0.0.1, port: {port}}}
"""

NO_NETWORK = {
    key: "http://127.0.0.1:9"
    for name in ("http_proxy", "https_proxy", "all_proxy")
    for key in (name, name.upper())
}
"""Whoever asks another machine asks a port where nobody listens."""


def install(python: Path, *arguments: str) -> None:
    """Install something with pip of another environment."""
    command = [str(python), "-m", "pip", "install", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
def test_plugins_from_pypi(tmp_path: Path, environment: Environment) -> None:
    """The launcher and anti-dislink answer over OneBot v11 in no time; aichat loads; ours wins."""
    venv.create(tmp_path / "own", with_pip=True)
    folder = tmp_path / "own" / ("Scripts" if sys.platform == "win32" else "bin")
    python = folder / "python"
    install(python, f"{ROOT}[cli,v6]", *PACKAGES)
    # It says that it needs Python 3.12 and two databases, and uses none of these.
    install(python, "--no-deps", "--ignore-requires-python", AICHAT)
    project = tmp_path / "project"
    port = free_port()
    write_files(project, {"main.py": MAIN, "config.yml": CONFIG.format(port=port)})
    command = (os.fspath(folder / "liteyuki"), "run", "--v6", "main.py")
    more = {**NO_NETWORK, "no_proxy": "", "NO_PROXY": ""}
    with running(project, environment, *command, interpreter=python, **more) as program:
        program.wait_for_line("process nonebot is ready", timeout=120)
        with onebot(address_of(program)) as client:
            for number, group in ((1, None), (2, 5)):
                client.say("show me all", number=number, group=group)
                call = client.take_call()
                message = call["params"]["message"]
                assert message in ("No dislink", [{"type": "text", "data": {"text": "No dislink"}}])
                client.answer(call)
        assert len(program.found("plugin .* is loaded from")) == 3, program.output
        assert program.found("liteyukibot 6.3.* which is installed, is not used")
        assert program.stop() == 0
    assert stopped_by_itself(program), program.output
