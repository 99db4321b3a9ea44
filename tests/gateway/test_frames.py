"""Frames are taken as they come, in order, also with a protocol that is not known.

Tests gateway/frames.py and methods.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from uvicorn.protocols.websockets import auto

from liteyuki_core.gateway.frames import Frames, quick
from tests.gateway.client import Client
from tests.gateway.project import answering
from tests.program import Environment


class Receiving:
    """Stands for uvicorn's protocol: it has a queue, and hands on frames if it is `quick`."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.reads = True

    async def receive(self) -> dict[str, Any]:
        return await self.queue.get()

    def comes(self, frame: str) -> None:
        self.queue.put_nowait({"type": "websocket.receive", "text": frame})


class Quick(Receiving):
    take: Any = None

    def comes(self, frame: str) -> None:
        self.reads = self.take(frame)

    def read_on(self) -> None:
        self.reads = True


@pytest.mark.parametrize("kind", [Quick, Receiving])
async def test_those_behind_one_that_waits_wait_too(kind: type[Receiving]) -> None:
    """Then they are taken in order, and the end is the last."""
    source = kind()
    taken: list[str] = []
    gate = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []

    async def wait(frame: str) -> None:
        await gate.wait()
        taken.append(f"{frame} at last")

    def take(frame: str | bytes) -> Coroutine[Any, Any, None] | None:
        taken.append(str(frame))
        return wait(str(frame)) if "waits" in str(frame) else None

    def start(coroutine: Coroutine[Any, Any, None]) -> None:
        tasks.append(asyncio.get_running_loop().create_task(coroutine))

    frames = Frames(source.receive, take, start)
    reading = asyncio.create_task(frames.until_left())
    await asyncio.sleep(0)
    for frame in ("a", "waits", "b", "waits too", "c"):
        source.comes(frame)
    source.queue.put_nowait({"type": "websocket.disconnect", "code": 1000})
    while "waits" not in taken:
        await asyncio.sleep(0)
    assert taken == ["a", "waits"]
    assert source.reads is (kind is Receiving)
    assert not reading.done()
    gate.set()
    assert (await reading)["code"] == 1000
    assert taken == ["a", "waits", "waits at last", "b", "waits too", "waits too at last", "c"]
    assert source.reads
    await asyncio.gather(*tasks)


async def test_what_taking_raises_is_learnt() -> None:
    """By whoever learns what is awaited raises. No frame is taken after that."""
    source = Quick()
    taken: list[str | bytes] = []
    learnt: list[asyncio.Task[None]] = []

    def take(frame: str | bytes) -> None:
        taken.append(frame)
        raise ValueError(frame)

    frames = Frames(source.receive, take, lambda each: learnt.append(asyncio.create_task(each)))
    reading = asyncio.create_task(frames.until_left())
    await asyncio.sleep(0)
    source.comes("a")
    source.comes("b")
    with pytest.raises(ValueError, match="a"):
        await learnt[0]
    assert taken == ["a"]
    reading.cancel()


def test_uvicorns_protocol_is_known() -> None:
    """That which the installed uvicorn takes by itself. Any other stays as it is."""
    known = auto.AutoWebSocketsProtocol
    assert known is not None
    assert quick(known) is not known
    assert issubclass(quick(known), known)
    for other in (object, Receiving):
        assert quick(other) is other


def test_with_another_protocol(tmp_path: Path, environment: Environment) -> None:
    """One that uvicorn is told to use: its frames come as events, and all are answered."""
    (tmp_path / "other.py").write_text(
        "import nonebot\nrun = nonebot.run\nnonebot.run = lambda: run(ws='websockets')\n"
    )
    with answering(tmp_path, environment, "other") as running, Client(running.address) as client:
        texts = [f"message {number}" for number in range(20)]
        for text in texts:
            client.say(text)
        client.wait_for(*texts)
        assert client.texts == texts
