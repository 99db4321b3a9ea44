"""A OneBot v11 implementation as NoneBot sees it: it connects to the bot by reverse WebSocket."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from websockets.asyncio.client import ClientConnection

LEAST = 100
"""Messages of an exchange at least, however slow the machine is."""

PATIENCE = 20.0
"""Seconds after which a message without an answer is lost."""


@dataclass(frozen=True)
class Exchange:
    """Messages that were all answered: how long each took, and all together."""

    times: list[float]
    seconds: float


class Client:
    """One connection. Each event has a number of its own, and each is answered exactly once."""

    def __init__(self, connection: ClientConnection, events: list[dict[str, Any]]) -> None:
        self._connection = connection
        self._events = events
        self.told = 0
        self._waiting: dict[int, float] = {}
        """When the events without an answer were told."""

    async def exchange(self, in_flight: int, seconds: float) -> Exchange:
        """Keep `in_flight` messages on their way for so long, then wait for the last answers.

        A message has taken its time when the bot asks to send its answer. Raises AssertionError
        when an answer is wrong or is missing.
        """
        try:
            return await asyncio.wait_for(self._exchange(in_flight, seconds), seconds + PATIENCE)
        except asyncio.TimeoutError:
            missing = f"{len(self._waiting)} of {self.told} messages were not answered"
            raise AssertionError(missing) from None

    async def expect_no_more(self) -> None:
        """Read until the bot has closed the connection; raise AssertionError for an answer."""
        with suppress(ConnectionClosed):
            call = await self._connection.recv()
            raise AssertionError(f"the bot answers what was answered before: {call!r}")

    async def _exchange(self, in_flight: int, seconds: float) -> Exchange:
        times = []
        begun = now = perf_counter()
        for _ in range(in_flight):
            await self._tell()
        while self._waiting:
            call = json.loads(await self._connection.recv())
            now = perf_counter()
            times.append(now - self._told_when(call))
            await self._say(status="ok", retcode=0, data={"message_id": 1}, echo=call["echo"])
            if now - begun < seconds or len(times) < LEAST:
                await self._tell()
        return Exchange(times, now - begun)

    async def _tell(self) -> None:
        self.told += 1
        event = self._events[self.told % len(self._events)]
        self._waiting[self.told] = perf_counter()
        await self._say(**{**event, "message_id": self.told})

    def _told_when(self, call: dict[str, Any]) -> float:
        """Return when the event was told that this answers, and rightly; it is answered now."""
        parameters = call["params"]
        text = "".join(segment["data"]["text"] for segment in _segments(parameters["message"]))
        number = int(text.partition(" ")[0])
        event = self._events[number % len(self._events)]
        expected = f"{number} {event['message'][1]['data']['text'].strip()}"
        right = (
            call["action"] == "send_msg"
            and parameters["message_type"] == "group"
            and parameters["group_id"] == event["group_id"]
            and text == expected
            and number in self._waiting
        )
        if not right:
            raise AssertionError(f"the bot answers {call!r}, expected {expected!r} once")
        return self._waiting.pop(number)

    async def _say(self, **fields: Any) -> None:
        await self._connection.send(json.dumps(fields, ensure_ascii=False))


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    """Connect to the bot on this port, and say that the account is there."""
    events = WORKLOADS["event"].make_pool()
    self_id = events[0]["self_id"]
    async with connect(
        f"ws://127.0.0.1:{port}/onebot/v11/ws",
        additional_headers={"X-Self-ID": str(self_id), "X-Client-Role": "Universal"},
        compression=None,  # It would cost the bot the same on every side.
        ping_interval=None,
        proxy=None,
    ) as connection:
        client = Client(connection, events)
        await client._say(
            time=1_700_000_000,
            self_id=self_id,
            post_type="meta_event",
            meta_event_type="lifecycle",
            sub_type="connect",
        )
        yield client


def _segments(message: Any) -> list[dict[str, Any]]:
    return [{"data": {"text": message}}] if isinstance(message, str) else message
