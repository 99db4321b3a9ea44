"""A OneBot v11 implementation, as a client of NoneBot, and a project whose bots it talks to."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.conftest import DEADLINE, free_port
from tests.program import Environment, Program, running, write_files

SELF = 10001

BOT = """
    from liteyuki_core import LiteyukiBot
    from liteyuki_core.process import RestartPolicy

    if __name__ == "__main__":
        bot = LiteyukiBot()
        restart = RestartPolicy(backoff=0.1)
        bot.add_process("nonebot", "liteyuki_core.frameworks.nonebot:run", restart=restart)
        bot.run()
"""

PYPROJECT = """
    [tool.liteyuki]
    plugin_dirs = ["main_plugins"]

    [tool.nonebot]
    plugin_dirs = ["plugins"]

    [tool.nonebot.adapters]
    nonebot-adapter-onebot = [{ name = "OneBot V11", module_name = "nonebot.adapters.onebot.v11" }]

    [tool.nonebot.plugins]
    nonebot-plugin-liteyuki-comm = ["nonebot_plugin_liteyuki_comm"]
"""


@contextmanager
def chatting(
    folder: Path, environment: Environment, files: Mapping[str, str], **settings: str
) -> Iterator[Program]:
    """Run a bot whose NoneBot forwards messages, with these files beside it."""
    more = {"HOST": "127.0.0.1", "PORT": str(free_port()), "LITEYUKI_COMM_FORWARD": "true"}
    write_files(folder, {"bot.py": BOT, "pyproject.toml": PYPROJECT, **files})
    with running(folder, environment, **{**more, **settings}) as program:
        yield program


def address_of(program: Program, life: int = 1) -> str:
    """Wait for NoneBot's server in a life of the child; return its host and port."""
    found: str = program.wait_for_line(r"Uvicorn running on http://(\S+)", count=life)[1]
    return found


class Client:
    """One connection of the implementation."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def tell(self, **fields: Any) -> None:
        """Send an event."""
        self.connection.send(json.dumps({"time": int(time.time()), "self_id": SELF, **fields}))

    def say(
        self, text: str, *, number: int, group: int | None = None, user: int = 7000, **more: Any
    ) -> None:
        """Send a message of a user, in a group or in private."""
        place: dict[str, Any] = {"message_type": "private", "sub_type": "friend"}
        if group is not None:
            place = {"message_type": "group", "sub_type": "normal", "group_id": group}
        self.tell(
            post_type="message",
            message_id=number,
            user_id=user,
            message=[{"type": "text", "data": {"text": text}}],
            raw_message=text,
            font=0,
            **{**place, "sender": {"user_id": user, "nickname": "tester"}, **more},
        )

    def take_call(self, timeout: float = DEADLINE) -> dict[str, Any]:
        """Take one API call, without answering it."""
        call: dict[str, Any] = json.loads(self.connection.recv(timeout=timeout))
        return call

    def answer(self, call: Mapping[str, Any], data: Any = None) -> None:
        """Answer a call."""
        data = {"message_id": 1} if data is None else data
        answer = {"status": "ok", "retcode": 0, "data": data, "echo": call["echo"]}
        self.connection.send(json.dumps(answer))

    def refuse(self, call: Mapping[str, Any], message: str) -> None:
        """Answer a call with a failure."""
        answer = {"status": "failed", "retcode": 1404, "message": message, "echo": call["echo"]}
        self.connection.send(json.dumps(answer))

    def next_text(self) -> str:
        """Take the next message that the bot sends, answer the call, and return its text."""
        call = self.take_call()
        assert call["action"] == "send_msg", call
        self.answer(call)
        return text_of(call)


def text_of(call: Mapping[str, Any]) -> str:
    """Return the text that a call sends, with other segments by their types."""
    return "".join(
        segment["data"]["text"] if segment["type"] == "text" else f"[{segment['type']}]"
        for segment in call["params"]["message"]
    )


@contextmanager
def onebot(address: str, self_id: int = SELF) -> Iterator[Client]:
    """Connect as an implementation does by reverse WebSocket."""
    headers = {"X-Self-ID": str(self_id), "X-Client-Role": "Universal"}
    url = f"ws://{address}/onebot/v11/ws"
    with connect(url, additional_headers=headers, proxy=None) as connection:
        client = Client(connection)
        client.tell(post_type="meta_event", meta_event_type="lifecycle", sub_type="connect")
        yield client
