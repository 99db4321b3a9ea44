"""Long messages keep the laws: values, in order, through both doors and between processes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from liteyuki_core.comm.wire import frames, slots
from liteyuki_core.comm.wire.batch import Batch
from liteyuki_core.errors import MessageTooLarge, SendError
from tests.children.arrays import Array
from tests.conftest import wait_until
from tests.pair import Ends, Pair, run_async
from tests.program import running_program

LIMIT = 8 << 20
SIZE = 3 * slots.SIZE + 1


@pytest.fixture(params=["memory is shared", "it is not"])
def pair(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """A main process's and a child's side."""
    if request.param == "it is not":
        monkeypatch.setattr(slots, "shared", lambda: None)
    both = Pair(LIMIT)
    yield both
    both.close()


def change(message: Any) -> None:
    """Change what may be changed of a message."""
    for part in (message, getattr(message, "buffer", None)):
        if isinstance(part, bytearray):
            part[:] = bytes(len(part))
        elif isinstance(part, dict):
            part.clear()


def test_long_messages_are_values_in_order(ends: Ends, door: Any) -> None:
    """Short and long, whatever is done with them after they were sent or received."""
    sender, receiver = ends
    makers: list[Any] = [
        lambda: b"l" * SIZE,
        lambda: "short",
        lambda: bytearray(b"m" * SIZE),
        lambda: Array(bytearray(b"n" * SIZE)),
        lambda: [1, b"short"],
        lambda: {"a": b"o" * SIZE, "b": Array(bytearray(b"p" * frames.CHUNK))},
        lambda: Array(b"q" * SIZE),
        lambda: "r" * SIZE,
        lambda: b"",
    ]

    def send() -> None:
        for make in makers * 2:
            message = make()
            door.send(sender, message, 20)
            change(message)

    thread = threading.Thread(target=send)
    thread.start()
    for make in makers * 2:
        got = door.receive(receiver, 20)
        assert (type(got), got) == (type(make()), make())
        change(got)
    thread.join()


def test_callbacks_get_long_messages(ends: Ends, door: Any) -> None:
    """Each once, in order, changed by nobody else."""
    sender, receiver = ends
    got: list[bytearray] = []

    @receiver.on_receive()
    async def callback(data: bytearray) -> None:
        got.append(data)

    for i in range(5):
        door.send(sender, bytearray([i]) * SIZE, 20)
    wait_until(lambda: len(got) == 5)
    assert got == [bytearray([i]) * SIZE for i in range(5)]


def test_at_the_limit(ends: Ends, door: Any) -> None:
    """The limit counts what is sent, not what carries it."""
    sender, receiver = ends
    with pytest.raises(MessageTooLarge, match=str(LIMIT + 1)):
        door.send(sender, bytes(LIMIT + 1))
    door.send(sender, bytes(LIMIT), 20)
    assert door.receive(receiver, 20) == bytes(LIMIT)


def test_a_buffer_with_gaps_is_not_sent(ends: Ends, door: Any) -> None:
    """It raises at send, and the channel goes on."""
    sender, receiver = ends
    with pytest.raises(SendError, match="Array"):
        door.send(sender, Array(memoryview(bytearray(2 * SIZE))[::2]))
    door.send(sender, 1)
    assert door.receive(receiver) == 1


def test_from_child_to_child_to_main(tmp_path: Path, environment: dict[str, str]) -> None:
    """The hub passes on what it does not rebuild, between real processes."""
    with running_program(tmp_path, environment, "arrays") as bot:
        bot.wait_for_line("all came")
        bot.wait_for_line("process maker exited with code 0")
        bot.wait_for_line("process taker exited with code 0")
        assert bot.stop() == 0
        assert not bot.found("Error|Traceback")


def test_batches_are_no_longer_than_a_frame(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages of a middle length that are sent at once travel together as far as they fit."""
    ours, theirs = pair.channel(64)
    sizes: list[int] = []
    data = pair.composed.local.data

    def record(number: int, batch: Batch) -> None:
        sizes.append(batch.size)
        data(number, batch)

    monkeypatch.setattr(pair.composed.local, "data", record)
    blocks = [bytes([i]) * 100_000 for i in range(20)]

    async def send() -> None:
        for block in blocks:
            ours.send(block)

    run_async(send())
    assert [theirs.receive(10) for _ in blocks] == blocks
    assert max(sizes) <= frames.CHUNK
    assert len(sizes) < len(blocks)
