"""Bots that answer wrongly in one way each, under the exchanges of hosting's benchmark.

It runs where `benchmarks` is a folder.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from itertools import count
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

Answer = dict[str, Any]
AT = 20
"""The message whose answer is wrong, counted from 1."""


def rightly(answer: Answer) -> list[Answer]:
    return [answer]


def to_another_group(answer: Answer) -> list[Answer]:
    return [{**answer, "group_id": answer["group_id"] + 1}]


def of_another_text(answer: Answer) -> list[Answer]:
    return [{**answer, "message": f"{answer['message']}?"}]


def of_another_message(answer: Answer) -> list[Answer]:
    return [{**answer, "message": answer["message"].replace(str(AT), str(AT + 1))}]


def twice(answer: Answer) -> list[Answer]:
    return [answer, answer]


def never(_: Answer) -> list[Answer]:
    return []


async def check(spoil: Callable[[Answer], list[Answer]], last: bool = False) -> str:
    """Return how the benchmark finds a bot that spoils one of its answers, or the last."""
    client: Any = import_module("hosting_client")

    async def answer(connection: ServerConnection) -> None:
        numbers, at_end = count(1), False
        async for text in connection:
            event = json.loads(text)
            if last and at_end and "status" in event:  # What was said last is answered.
                await connection.close()
            if event.get("post_type") != "message":
                continue
            said = f"{event['message_id']} {event['message'][1]['data']['text'].strip()}"
            right = {"message_type": "group", "group_id": event["group_id"], "message": said}
            at = client.LEAST if last else AT
            for parameters in spoil(right) if next(numbers) == at else [right]:
                call = {"action": "send_msg", "params": parameters, "echo": "1"}
                await connection.send(json.dumps(call))
            at_end = event["message_id"] == client.LEAST

    async def answer_while_connected(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await answer(connection)

    async with serve(answer_while_connected, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        try:
            async with client.connected(port) as connected:
                # An exchange of no seconds is one of LEAST messages.
                exchange = await connected.exchange(1, 0.0)
                assert len(exchange.times) == client.LEAST
                if last:
                    await connected.expect_no_more()
        except AssertionError as error:
            return f"wrong, {str(error).partition(':')[0].partition('{')[0].strip()}"
    return "right"


async def check_all() -> None:
    client: Any = import_module("hosting_client")
    print("as it should:", await check(rightly))
    print("last as it should:", await check(rightly, last=True))
    for spoil in (to_another_group, of_another_text, of_another_message, twice):
        print(f"{spoil.__name__}:", await check(spoil))
    print("last twice:", await check(twice, last=True))
    client.PATIENCE = 0.5
    print("never:", await check(never))


def main() -> None:
    sys.path.insert(0, "benchmarks")
    asyncio.run(check_all())
