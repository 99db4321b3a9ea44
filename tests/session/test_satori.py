"""Chat over another adapter than OneBot v11: Satori, by UniMessage and Uninfo."""

from __future__ import annotations

import json
from ast import literal_eval
from pathlib import Path
from typing import Any

from tests.conftest import free_port
from tests.program import Environment, Program, running_program
from tests.session.onebot import chatting

PYPROJECT = """
    [tool.liteyuki]
    plugin_dirs = ["main_plugins"]

    [tool.nonebot.adapters]
    nonebot-adapter-satori = [{ name = "Satori", module_name = "nonebot.adapters.satori" }]

    [tool.nonebot.plugins]
    nonebot-plugin-liteyuki-comm = ["nonebot_plugin_liteyuki_comm"]
"""

PING = """
    from dataclasses import astuple

    from liteyuki_core import RemoteError
    from liteyuki_core.session import Scene, Segment, on_command

    @on_command("ping")
    async def ping(event):
        print("event", (
            event.adapter, event.bot.id, astuple(event.scene), astuple(event.user), event.id,
            event.time, [astuple(s) for s in event.segments], event.raw["message"]["id"],
        ), flush=True)
        image = Segment("image", {"url": "https://x/z.png"})
        print("result", await event.reply(["pong", image], at=True, quote=True), flush=True)
        await event.send_to(Scene("channel", "c2", "g1"), "elsewhere")
        await event.send_to(Scene("private", "u2"), "to you")
        print("user", await event.bot.call_api("user_get", user_id="u3"), flush=True)
        try:
            await event.bot.call_api("no_such_api")
        except RemoteError as error:
            print("error", (error.type_name, str(error)), flush=True)
"""


def told(program: Program, word: str, count: int = 2) -> list[Any]:
    """Return what the handler has printed."""
    program.wait_for_line(rf"^{word} (.*)$", count=count)
    return [literal_eval(match[1]) for match in program.found(rf"^{word} (.*)$")]


def test_satori(tmp_path: Path, environment: Environment) -> None:
    """What a handler gets and does is as with OneBot v11; segments are UniMessage's."""
    port = free_port()
    settings = {
        "DRIVER": "~fastapi+~httpx+~websockets",
        "SATORI_CLIENTS": f'[{{"host": "127.0.0.1", "port": {port}}}]',
        "SUPERUSERS": '["satori:u1"]',
    }
    files = {"main_plugins/ping.py": PING, "pyproject.toml": PYPROJECT}
    folder = tmp_path / "server"
    folder.mkdir()
    with (
        running_program(folder, environment, "satori_server", str(port)) as server,
        chatting(tmp_path, environment, files, **settings) as program,
    ):
        channel, private = sorted(told(program, "event"))
        image = {"url": "https://x/y.png", "sticker": False}
        assert channel == (
            *("Satori", "test:bot", ("channel", "c1", "g1"), ("u1", "nick", "admin", True), "m1"),
            *(1700000000.0, [("text", {"text": "/ping "}), ("image", image)], "m1"),
        )
        assert private == (
            *("Satori", "test:bot", ("private", "u1", ""), ("u1", "somebody", "", True), "m2"),
            *(1700000000.0, [("text", {"text": "/ping"})], "m2"),
        )
        for results in told(program, "result"):
            assert [result["id"] for result in results] == ["sent"]
        for user in told(program, "user"):
            assert (user["id"], user["name"]) == ("u3", "looked up")
        for kind, message in told(program, "error"):
            assert kind == "ApiNotAvailable"
            assert message == (
                "bot test:bot (Satori), API no_such_api: ApiNotAvailable: ApiNotAvailable()"
            )
        assert program.stop() == 0
        assert not program.found("Traceback"), program.output
    calls = [json.loads(match[1]) for match in server.found(r"^called message.create (.*)$")]
    pong = 'pong<img src="https://x/z.png"/>'
    assert {(call["channel_id"], call["content"]) for call in calls} == {
        ("c1", f'<quote id="m1"/><at id="u1"/>{pong}'),
        ("direct u1", f'<quote id="m2"/>{pong}'),
        ("c2", "elsewhere"),
        ("direct u2", "to you"),
    }
    assert len(calls) == 6
