"""Clients that send what they should not: each fares as it would without a gateway, and alone.

Tests gateway/websocket.py.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgpack
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.conftest import DEADLINE, wait_until
from tests.gateway.client import V11, V12, Client
from tests.gateway.project import Bot, answering
from tests.program import Environment

TOKEN = "a-token-of-this-test"
RIGHT = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def bots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bot, Bot]]:
    """A bot without a gateway, and one with it."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LITEYUKI_")}
    environment["LITEYUKI_LOG_LANG"] = "en"
    folder = tmp_path_factory.mktemp("bots")
    with ExitStack() as stack:
        plain, gateway = (
            stack.enter_context(
                answering(
                    folder / name,
                    environment,
                    LITEYUKI_GATEWAY=has_gateway,
                    ONEBOT_ACCESS_TOKEN=TOKEN,
                    ONEBOT_V12_ACCESS_TOKEN=TOKEN,
                )
            )
            for name, has_gateway in (("plain", "false"), ("gateway", "true"))
        )
        yield plain, gateway


def fate(to: Bot, version: int, headers: dict[str, str], *frames: str | bytes) -> Any:
    """Return how a client ends that sends these frames: refused, closed, or open and answered."""
    address = f"ws://{to.address}/onebot/v{version}/ws"
    try:
        with connect(
            address, additional_headers=headers, proxy=None, open_timeout=DEADLINE
        ) as client:
            for frame in frames:
                client.send(frame)
            return answered(client, version)
    except InvalidStatus as error:
        return error.response.status_code
    except ConnectionClosed as error:
        return error.rcvd and (error.rcvd.code, error.rcvd.reason)


def until_disconnected(of: Bot) -> None:
    """Wait until the bots of all clients that have left are disconnected."""
    program = of.program
    program.wait_until(
        lambda: len(program.found("is connected to")) == len(program.found("is disconnected from")),
        "all have left",
    )


def answered(client: ClientConnection, version: int) -> str:
    """Say something as the account 5; return what the bot answers."""
    message = [{"type": "text", "data": {"text": "still here"}}]
    fields: dict[str, Any] = {
        "time": 1,
        "self_id": 5,
        "post_type": "message",
        "message_type": "private",
        "sub_type": "friend",
        "message_id": 1,
        "user_id": 2,
        "message": message,
        "raw_message": "",
        "font": 0,
        "sender": {},
    }
    if version == V12:
        fields = {
            "id": "1",
            "time": 1.0,
            "type": "message",
            "detail_type": "private",
            "sub_type": "",
            "self": {"platform": "test", "user_id": "5"},
            "message_id": "1",
            "message": message,
            "alt_message": "",
            "user_id": "2",
        }
    client.send(json.dumps(fields))
    call = json.loads(client.recv(timeout=DEADLINE))
    client.send(
        json.dumps({"status": "ok", "retcode": 0, "data": {}, "message": "", "echo": call["echo"]})
    )
    sent = call["params"]["message"]
    return str(sent if isinstance(sent, str) else sent[0]["data"]["text"]).partition("|")[0]


CONNECT = json.dumps(
    {
        "id": "1",
        "time": 1.0,
        "type": "meta",
        "detail_type": "connect",
        "sub_type": "",
        "version": {"impl": "test", "version": "1", "onebot_version": "12"},
    }
)
META = json.dumps({"time": 1, "self_id": 5, "post_type": "meta_event", "meta_event_type": "x"})
ELEVEN = {"X-Self-ID": "5", **RIGHT}

CASES: dict[str, Callable[[Bot], Any]] = {
    "no token": lambda to: fate(to, V11, {"X-Self-ID": "5"}),
    "wrong token": lambda to: fate(to, V11, {"X-Self-ID": "5", "Authorization": "Bearer x"}),
    "right token": lambda to: fate(to, V11, ELEVEN),
    "no account": lambda to: fate(to, V11, RIGHT),
    "strange account": lambda to: fate(to, V11, {"X-Self-ID": "../../5?", **RIGHT}),
    "no token, 12": lambda to: fate(to, V12, {}),
    "right token, 12": lambda to: fate(to, V12, RIGHT, CONNECT),
    "no connect, 12": lambda to: fate(to, V12, RIGHT),
    "text": lambda to: fate(to, V11, ELEVEN, "garbage"),
    "nothing": lambda to: fate(to, V11, ELEVEN, ""),
    "bytes": lambda to: fate(to, V11, ELEVEN, b"\x00\xff"),
    "JSON as bytes": lambda to: fate(to, V11, ELEVEN, META.encode()),
    "a list": lambda to: fate(to, V11, ELEVEN, "[]", "null", "7", '"x"', "{}"),
    "an answer to nobody": lambda to: fate(to, V11, ELEVEN, '{"echo": "1"}', '{"echo": [1]}'),
    "an event that is none": lambda to: fate(to, V11, ELEVEN, '{"post_type": 7}'),
    "a nested frame": lambda to: fate(to, V11, ELEVEN, '{"a":' * 50_000),
    "a long number": lambda to: fate(to, V11, ELEVEN, "9" * 10_000),
    "a long frame": lambda to: fate(to, V11, ELEVEN, "x" * 17_000_000),
    "text, 12": lambda to: fate(to, V12, RIGHT, CONNECT, "garbage"),
    "text before connect, 12": lambda to: fate(to, V12, RIGHT, "garbage"),
    "msgpack, 12": lambda to: fate(to, V12, RIGHT, msgpack.packb(json.loads(CONNECT))),
    "broken msgpack, 12": lambda to: fate(to, V12, RIGHT, CONNECT, b"\xc1"),
    "an event that is none, 12": lambda to: fate(to, V12, RIGHT, CONNECT, '{"type": "x"}'),
}


@pytest.mark.parametrize("name", CASES)
def test_a_client_fares_as_without_a_gateway(bots: tuple[Bot, Bot], name: str) -> None:
    """Refused, closed with a code, or answered; and the bot goes on."""
    expected, found = map(CASES[name], bots)
    assert found == expected
    for each in bots:
        until_disconnected(each)
        with Client(each.address, token=TOKEN) as other:
            other.say("another")
            other.wait_for("another")
        until_disconnected(each)


def test_a_second_client_of_one_account_is_refused(bots: tuple[Bot, Bot]) -> None:
    """The first one stays."""
    for each in bots:
        with Client(each.address, token=TOKEN) as first:
            first.say("one")
            first.wait_for("one")
            headers = {"X-Self-ID": str(first.account), **RIGHT}
            assert fate(each, V11, headers) == 403
            first.say("two")
            first.wait_for("two")


@pytest.mark.parametrize("version", [V11, V12])
def test_a_token_holds_through_restarts(
    tmp_path: Path, environment: Environment, version: int
) -> None:
    """The successor gets the token with the handshake; who has none is refused there too."""
    with (
        answering(
            tmp_path, environment, ONEBOT_ACCESS_TOKEN=TOKEN, ONEBOT_V12_ACCESS_TOKEN=TOKEN
        ) as running,
        Client(running.address, version=version, token=TOKEN) as client,
    ):
        for verb in ("restart", "kill"):
            running.order(verb)
            client.say(verb)
            client.wait_for(verb)
            assert fate(running, version, {"X-Self-ID": "5"}) == 403
        assert client.closed is None


@pytest.mark.parametrize("version", [V11, V12])
def test_a_frame_that_no_message_can_carry(
    tmp_path: Path, environment: Environment, version: int
) -> None:
    """It closes its own connection with 1009, with a line that says why; others go on."""
    event = json.dumps({"post_type": "message", "type": "message", "detail_type": "x" * 400_000})
    with (
        answering(tmp_path, environment, LITEYUKI_MAX_MESSAGE_BYTES="300000") as running,
        Client(running.address, 7, version=version) as other,
    ):
        for frame in (event, "x" * 400_000):
            with Client(running.address, version=version) as client:
                client.say("before")
                client.wait_for("before")
                client.send(frame)
                wait_until(lambda client=client: client.closed, "it is closed")
                assert client.closed == (1009, "")
        running.program.wait_for_line("a WebSocket of /onebot/.* is closed: .*300000", 2)
        other.say("still here")
        other.wait_for("still here")
