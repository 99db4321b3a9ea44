"""Who has a gateway and who has none."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.conftest import free_port
from tests.gateway.project import PAGES
from tests.program import (
    Environment,
    listing,
    nonebot_plugin,
    running,
    running_program,
    stopped_by_itself,
    write_files,
)

BOT = """
    import asyncio
    import sys

    from liteyuki_core import LiteyukiBot

    if __name__ == "__main__":
        bot = LiteyukiBot()
        bot.add_process("nonebot", "liteyuki_core.frameworks.nonebot:run", gateway={gateway})

        @bot.on_after_start
        async def tell():
            await bot.wait_ready("nonebot", 20)
            for name in ("liteyuki_core.gateway.server", "uvicorn"):
                print("main has", name, name in sys.modules, flush=True)
            print("channels", [name for name in bot.channels if "gateway" in name], flush=True)

        bot.run()
"""
PLUGIN = """
import sys

@driver.on_startup
async def tell():
    for name in ("gateway.exchange", "frameworks.asgi", "frameworks.asgi_websocket"):
        print("child has", name, f"liteyuki_core.{name}" in sys.modules, flush=True)
"""


@pytest.mark.parametrize(
    ("asked", "setting", "has_one"),
    [
        (False, "true", False),
        pytest.param(True, "false", False, marks=pytest.mark.long),
        pytest.param(True, "true", True, marks=pytest.mark.long),
        (None, "false", False),
        (None, "true", True),
    ],
)
def test_nothing_of_it_is_imported_where_there_is_none(
    tmp_path: Path, environment: Environment, asked: bool | None, setting: str, has_one: bool
) -> None:
    """Neither in the main process nor in the child, and there is no channel of its own."""
    files = {
        "bot.py": BOT.format(gateway=asked),
        "hooks.py": nonebot_plugin(PLUGIN),
        "pyproject.toml": listing("hooks"),
    }
    write_files(tmp_path, files)
    more = {"PORT": str(free_port()), "LITEYUKI_GATEWAY": setting}
    with running(tmp_path, environment, **more) as program:
        for name in ("liteyuki_core.gateway.server", "uvicorn"):
            program.wait_for_line(f"^main has {name} {has_one}$")
        for name in ("gateway.exchange", "frameworks.asgi", "frameworks.asgi_websocket"):
            program.wait_for_line(f"child has {name} {has_one}$")
        channels = "'nonebot-gateway'" if has_one else ""
        program.wait_for_line(rf"^channels \[{channels}\]$")
        assert program.stop() == 0
        assert stopped_by_itself(program), program.output


def test_a_driver_that_does_not_serve(tmp_path: Path, environment: Environment) -> None:
    """Costs the main process no server."""
    files = {
        "bot.py": BOT.format(gateway=None),
        "hooks.py": nonebot_plugin(PLUGIN),
        "pyproject.toml": listing("hooks"),
    }
    write_files(tmp_path, files)
    with running(tmp_path, environment, DRIVER="~none") as program:
        for name in ("liteyuki_core.gateway.server", "uvicorn"):
            program.wait_for_line(f"^main has {name} False$")
        assert program.stop() == 0


def test_two_children_have_two(tmp_path: Path, environment: Environment) -> None:
    """Each has its own port and its own clients, and each request has one line."""
    ports = {"one": free_port(), "two": free_port()}
    configs = {name: {"port": port, "plugins": [PAGES]} for name, port in ports.items()}
    with running_program(tmp_path, environment, "obeying:gateways", json.dumps(configs)) as program:
        pids = {}
        for name, port in ports.items():
            program.wait_for_line(f"process {name} is ready")
            started = program.wait_for_line(rf"process {name} started \(pid (\d+)\)")
            pids[name] = started[1]
            answer = httpx.get(f"http://127.0.0.1:{port}/pid?{name}", trust_env=False)
            assert answer.text == pids[name]
        for name in ports:
            program.wait_for_line(rf'"GET /pid\?{name} HTTP/1.1" 200')
        assert program.stop() == 0
        assert len(program.found('"GET /pid')) == 2
