"""OneBot v11 over a real WebSocket: handler, channel, main, channel, NoneBot's loop, out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.conftest import DEADLINE, free_port
from tests.program import Program, running_program, stopped_by_itself, write_files

MESSAGES = 200
SELF = 10001
TOKEN = "a-token-of-this-test"

PROJECT = {
    "pyproject.toml": """
        [tool.nonebot.adapters]
        nonebot-adapter-onebot = [
            { name = "OneBot V11", module_name = "nonebot.adapters.onebot.v11" },
        ]

        [tool.nonebot.plugins]
        nonebot-plugin-liteyuki-comm = ["nonebot_plugin_liteyuki_comm"]
    """,
}


@pytest.fixture(params=[None, TOKEN], ids=["no token", "token"])
def token(request: pytest.FixtureRequest) -> str | None:
    """The access token that NoneBot asks for, if any."""
    value: str | None = request.param
    return value


@pytest.fixture
def program(tmp_path: Path, environment: dict[str, str], token: str | None) -> Iterator[Program]:
    """A main process and a NoneBot that relays messages to it and back, listening."""
    settings = f"HOST=127.0.0.1\nPORT={free_port()}\n"
    if token is not None:
        settings += f"ONEBOT_ACCESS_TOKEN={token}\n"
    write_files(tmp_path, {**PROJECT, ".env": settings})
    with running_program(tmp_path, environment, "relay") as started:
        yield started


@contextmanager
def onebot(program: Program, token: str | None) -> Iterator[ClientConnection]:
    """Connect as a OneBot v11 implementation does by reverse WebSocket."""
    address = program.wait_for_line(r"Uvicorn running on http://(\S+)")[1]
    headers = {"X-Self-ID": str(SELF), "X-Client-Role": "Universal"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    with connect(f"ws://{address}/onebot/v11/ws", additional_headers=headers, proxy=None) as client:
        tell(client, post_type="meta_event", meta_event_type="lifecycle", sub_type="connect")
        yield client


def tell(client: ClientConnection, **fields: Any) -> None:
    """Send one event."""
    client.send(json.dumps({"time": int(time.time()), "self_id": SELF, **fields}))


def tell_group_message(client: ClientConnection, number: int) -> None:
    """Send the group message that has this number, unlike any other."""
    text = f"message {number}"
    tell(
        client,
        post_type="message",
        message_type="group",
        sub_type="normal",
        message_id=number,
        group_id=5000 + number % 7,
        user_id=7000 + number,
        anonymous=None,
        message=[{"type": "text", "data": {"text": text}}],
        raw_message=text,
        font=0,
        sender={"user_id": 7000 + number, "nickname": "tester"},
    )


def answer_call(client: ClientConnection) -> tuple[int, str]:
    """Take one API call of the bot, answer it, and return the group and the text it names."""
    call = json.loads(client.recv(timeout=DEADLINE))
    assert call["action"] == "send_group_msg", call
    client.send(
        json.dumps({"status": "ok", "retcode": 0, "data": {"message_id": 1}, "echo": call["echo"]})
    )
    message = call["params"]["message"]
    text = message if isinstance(message, str) else "".join(s["data"]["text"] for s in message)
    return call["params"]["group_id"], text


def test_each_message_is_answered_once_and_rightly(program: Program, token: str | None) -> None:
    """200 messages go to main and back to NoneBot's loop, and each is answered, exactly once."""
    answers = []
    with onebot(program, token) as client:
        for number in range(MESSAGES):
            tell_group_message(client, number)
        for _ in range(MESSAGES):
            answers.append(answer_call(client))
        program.interrupt()
        with suppress(ConnectionClosed):
            while True:
                answers.append(answer_call(client))  # One too many.
    assert program.wait() == 0
    assert stopped_by_itself(program), program.output
    assert sorted(answers) == sorted(
        (5000 + number % 7, f"message {number} on NoneBot's loop") for number in range(MESSAGES)
    )


@pytest.mark.parametrize("token", [TOKEN], indirect=True)
@pytest.mark.parametrize("wrong", [None, "another-token"])
def test_a_wrong_token_is_refused(program: Program, wrong: str | None) -> None:
    """With ONEBOT_ACCESS_TOKEN set, a connection with another token or none gets 401 or 403."""
    with pytest.raises(InvalidStatus) as refused, onebot(program, wrong):
        pass
    assert refused.value.response.status_code in (401, 403)
