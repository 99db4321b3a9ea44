"""Who has a gateway and who has none, and what its own loop is for.

Tests gateway/serving.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.conftest import free_port
from tests.gateway.client import Client
from tests.gateway.project import ANSWERING, ONEBOT, PAGES
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


def test_the_launcher_itself_has_one_too(tmp_path: Path, environment: Environment) -> None:
    """Also where it is given as a function, and not by its name."""
    main = BOT.format(gateway=None).replace(
        '"liteyuki_core.frameworks.nonebot:run"',
        '__import__("liteyuki_core.frameworks.nonebot").frameworks.nonebot.run',
    )
    write_files(tmp_path, {"bot.py": main, "pyproject.toml": listing()})
    with running(tmp_path, environment, PORT=str(free_port())) as program:
        program.wait_for_line(r"^channels \['nonebot-gateway'\]$")
        assert program.stop() == 0


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


BLOCKED = """
    import asyncio
    import time
    from pathlib import Path

    from liteyuki_core import LiteyukiBot

    if __name__ == "__main__":
        bot = LiteyukiBot()
        bot.add_process("nonebot", "liteyuki_core.frameworks.nonebot:run")

        @bot.on_after_start
        async def stop_it():
            while not Path("will-ask").exists():
                await asyncio.sleep(0.01)
            Path("blocked").touch()
            time.sleep(0.3)  # The question comes meanwhile; a later one finds the stop there.
            bot.stop_process("nonebot")

        bot.run(keep=True)
"""
"""A bot that stops its child when that has asked its gateway something and has no answer yet."""

ASKS = """
import time
from pathlib import Path

from liteyuki_core.frameworks import asgi

asked = asgi.Front._asked

async def ask(front, question):
    if type(question).__name__ == "{question}":
        Path("will-ask").touch()
        while not Path("blocked").exists():
            time.sleep(0.01)
    return await asked(front, question)

asgi.Front._asked = ask

@driver.on_shutdown
async def shut_down():
    print("shut down", flush=True)
"""


@pytest.mark.parametrize(("question", "starts"), [("Listen", False), ("Up", True)])
def test_a_stop_before_the_gateway_has_answered(
    tmp_path: Path, environment: Environment, question: str, starts: bool
) -> None:
    """The child ends as by any stop: an application that has started is shut down."""
    files = {
        "bot.py": BLOCKED,
        "asks.py": nonebot_plugin(ASKS.format(question=question)),
        "pyproject.toml": listing("asks"),
    }
    write_files(tmp_path, files)
    with running(tmp_path, environment, PORT=str(free_port())) as program:
        program.wait_for_line("process nonebot exited with code 0$", timeout=60)
        assert bool(program.found("^shut down$")) is starts, program.output
        assert not program.found("Traceback"), program.output
        assert program.stop() == 0


def test_clients_are_served_while_the_bots_loop_is_blocked(
    tmp_path: Path, environment: Environment
) -> None:
    """They have nothing to do with what plugins of the main process do there."""
    main = f"""
        import time
        from pathlib import Path

        from liteyuki_core import LiteyukiBot

        if __name__ == "__main__":
            bot = LiteyukiBot()
            bot.add_process(
                "nonebot",
                "liteyuki_core.frameworks.nonebot:run",
                kwargs={{"plugins": ["{ANSWERING}"]}},
            )

            @bot.on_after_start
            async def block():
                await bot.wait_ready("nonebot", 30)
                print("blocked", flush=True)
                while not Path("go-on").exists():
                    time.sleep(0.01)
                print("goes on", flush=True)

            bot.run()
    """
    write_files(tmp_path, {**ONEBOT, "bot.py": main})
    port = free_port()
    with running(tmp_path, environment, PORT=str(port)) as program:
        program.wait_for_line("^blocked$", timeout=60)
        with Client(f"127.0.0.1:{port}") as client:
            client.say("how are you")
            client.wait_for("how are you")
        assert not program.found("^goes on$")
        (tmp_path / "go-on").touch()
        program.wait_for_line("^goes on$")
        assert program.stop() == 0
