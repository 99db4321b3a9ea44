"""The wire format, without a socket.

Tests comm/wire/batch.py.
"""

from __future__ import annotations

import pickle
import random
import struct
from typing import Any

import pytest

from liteyuki_core.comm.wire import frames, words
from liteyuki_core.comm.wire.batch import pack, pack_text, unpack
from liteyuki_core.comm.wire.payload import dump, load
from liteyuki_core.errors import FrameError
from tests.wire import LIMIT, Wire, batch, messages_of


@pytest.mark.parametrize("step", [1, 7, 1000, 1 << 20])
def test_round_trip(step: int) -> None:
    """Whatever the pieces in which bytes come, the same frames come out."""
    mixed = [1, "text", b"raw", {"a": [1.5, None]}, b"", "", "长" * 20_000]
    texts = ["plain", "中文", "\ud800 lone", "", "é" * 300]
    wire = Wire()
    data = wire.write(
        batch(mixed, 7).frame(3),
        words.encode(words.Hold("名")),
        pack_text(1 << 40, texts).frame(1 << 31),
        frames.acknowledgement(9, [(0, 5), (1 << 50, 64)]),
    )
    one, two, three, four = wire.feed(b"".join(data), step)
    assert (one.kind, one.channel) == (frames.DATA, 3)
    assert messages_of(one) == (7, mixed)
    assert words.from_child(two) == words.Hold("名")
    assert three.channel == 1 << 31
    assert messages_of(three) == (1 << 40, texts)
    assert (four.channel, frames.acknowledged(four)) == (9, [(0, 5), (1 << 50, 64)])


def test_forwarding_leaves_the_messages_as_they_are() -> None:
    """A batch can be numbered anew without being rebuilt."""
    got = unpack(Wire().pass_on(batch([1, "x", b"y"]).frame(1))[0])
    again = got.having(1000)
    assert again.buffers is got.buffers
    assert messages_of(Wire().pass_on(again.frame(5))[0]) == (1000, [1, "x", b"y"])


@pytest.mark.parametrize("kind", ["text", "text with NUL", "pickles"])
def test_some_of_a_batch(kind: str) -> None:
    """Runs of a batch keep the messages' numbers and the batch's flags."""
    messages: list[Any] = ["a", "bb中", "", "d\ud800", "e"]
    if kind == "text with NUL":
        messages[0] = "a\0"
    if kind == "pickles":
        whole = batch([1, b"b", "c", None, b""], 10)
        messages = [1, b"b", "c", None, b""]
    else:
        whole = pack_text(10, messages)
        assert bool(whole.flags & frames.SPLIT) is (kind == "text")
    whole = whole.having(10, frames.PROMPT)
    assert whole.flags & frames.PROMPT
    parts = list(whole.runs([None, 1, 1, None, 2]))
    again = [(kind, unpack(Wire().pass_on(part.frame(1))[0])) for kind, part in parts]
    for kind, part in [*parts, *again]:
        start = 1 if kind == 1 else 4
        assert part.first == 10 + start
        assert part.flags & ~frames.SPLIT == whole.flags & ~frames.SPLIT
        assert [load(p) for p in part.payloads()] == messages[start : start + part.count]
    assert [(kind, part.count) for kind, part in parts] == [(1, 2), (2, 1)]
    assert next(whole.runs([0] * 5))[1] is whole


class Sample:
    """Pickles with a buffer beside it, as arrays do."""

    def __init__(self, buffer: Any) -> None:
        self.buffer = buffer

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Sample, (pickle.PickleBuffer(self.buffer),)


CHANGEABLE = memoryview(bytearray(b"abc" * frames.CHUNK))


@pytest.mark.parametrize(
    ("buffer", "kind"),
    [
        (bytes(frames.CHUNK), bytes),
        (bytes(1000), bytes),
        (bytearray(frames.CHUNK), bytearray),
        (bytearray(1000), bytearray),
        (CHANGEABLE, bytearray),
        (CHANGEABLE.toreadonly(), bytes),
        (memoryview(bytes(3 * frames.CHUNK))[5 : 5 + frames.CHUNK], bytes),
        (CHANGEABLE[: frames.CHUNK].cast("B", (512, 512)), bytearray),
    ],
)
def test_buffers_are_values(buffer: Any, kind: type) -> None:
    """Whatever its size, a buffer comes as it was sent, changeable or not, and never shared."""
    payload, length = dump(Sample(buffer))
    was = bytes(buffer)
    packed = pack(3, [payload], [length])
    sent = [load(p) for p in packed.payloads()] + [load(packed.payloads()[0])]
    if kind is bytearray:
        for i, one in enumerate(sent):
            one.buffer[:5] = bytes([i] * 5)
            assert one.buffer[5:] == was[5:]
        memoryview(buffer).cast("B")[:5] = b"later"
    else:
        assert [bytes(one.buffer) for one in sent] == [was, was]
    got = Wire().pass_on(packed.frame(1))
    first, (came,) = messages_of(got[0])
    assert (first, type(came.buffer), bytes(came.buffer)) == (3, kind, was)
    if kind is bytearray:
        memoryview(buffer).cast("B")[:5] = was[:5]


def test_nothing_is_copied_that_need_not_be() -> None:
    """Immutable bytes go as they are; whoever has a batch alone gets its memory."""
    message = random.Random(1).randbytes(frames.CHUNK)
    assert batch([message]).buffers[1] is message
    assert batch([Sample(message)]).buffers[1] is message
    frame = Wire().pass_on(batch([Sample(bytearray(message))]).frame(1))[0]
    alone = unpack(frame, kept=False)
    assert load(alone.payloads()[0]).buffer is alone.buffers[1]


@pytest.mark.parametrize("size", [frames.CHUNK // 2, frames.CHUNK - 1, frames.CHUNK, LIMIT])
@pytest.mark.parametrize(
    "make",
    [bytes, bytearray, lambda n: ["x" * n, 1], lambda n: {"a": bytes(n)}, lambda n: "é" * (n // 2)],
    ids=["bytes", "bytearray", "list", "dict", "str"],
)
def test_messages_of_any_size(make: Any, size: int) -> None:
    """What comes has the type and the value of what went."""
    message = make(size)
    packed = batch([message], 9)
    assert packed.count == 1
    (got,) = Wire().pass_on(packed.frame(2))
    _, (came,) = messages_of(got)
    assert (type(came), came) == (type(message), message)
    assert list(packed.runs([None])) == []
    ((_, left),) = packed.runs([0])
    assert (left.first, left.buffers) == (9, packed.buffers)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        bytes(64),
        frames.HEADER.pack(frames.MAGIC, 9, 0, 0, 0),
        frames.HEADER.pack(frames.MAGIC, frames.ACK, 2, 0, 0),
        frames.HEADER.pack(frames.MAGIC, frames.DATA, 0, 0, frames.CHUNK + 1),
        frames.HEADER.pack(frames.MAGIC, frames.DATA, 0, 0, 0xFFFFFFFF),
    ],
)
def test_garbage_is_refused(data: bytes) -> None:
    """Bytes that are no frame raise at once, whatever length they claim."""
    with pytest.raises(FrameError):
        Wire().feed(data)


def frame(kind: int, body: bytes, flags: int = 0) -> frames.Frame:
    """Return a frame as a decoder would."""
    return frames.Frame(kind, flags, 1, body)


def texts(count: int, body: bytes, flags: int = frames.TEXT | frames.SPLIT) -> frames.Frame:
    """Return a frame that says it has so many texts with a NUL between them."""
    return frames.Frame(frames.DATA, flags, 1, struct.pack("<QI", 0, count) + body)


def long(count: bytes, flags: int) -> frames.Frame:
    """Return the frame of a long message."""
    return frames.Frame(frames.DATA, flags, 1, bytes(8) + count, (b"pickle",))


@pytest.mark.parametrize(
    ("read", "bad"),
    [
        (unpack, frame(frames.DATA, b"short")),
        (unpack, frame(frames.DATA, bytes(12))),
        (unpack, frame(frames.DATA, bytes(8) + b"\xff\xff\xff\xff" + bytes(100))),
        (unpack, frame(frames.DATA, bytes(8) + b"\1\0\0\0" + b"\5\0\0\0" + b"xx")),
        (unpack, frame(frames.DATA, bytes(8) + b"\1\0\0\0" + b"\1\0\0\0" + b"\xff", 1)),
        (unpack, frame(frames.DATA, bytes(8) + b"\1\0\0\0" + b"\2\0\0\0" + b"x", 1)),
        (unpack, frame(frames.DATA, bytes(8) + b"\1\0\0\0", frames.LONG)),
        (unpack, long(b"\2\0\0\0", frames.LONG)),
        (unpack, long(b"\1\0\0\0more", frames.LONG)),
        (unpack, long(b"\1\0\0\0", frames.LONG | frames.TEXT)),
        (unpack, texts(0, b"")),
        (unpack, texts(2, b"only one")),
        (unpack, texts(2, b"a\0b\0c")),
        (unpack, texts(2, b"a\0\xff")),
        (unpack, texts(1, b"a", frames.SPLIT)),
        (unpack, texts(1, b"a", frames.SPLIT | frames.TEXT | frames.LINKED)),
        (frames.acknowledged, frame(frames.ACK, b"short")),
        (words.from_child, frame(frames.CONTROL, b"\xff{")),
        (words.from_child, frame(frames.CONTROL, b"[1]")),
        (words.from_child, frame(frames.CONTROL, b"{}")),
        (words.from_child, frame(frames.CONTROL, b"[" * 100_000)),
    ],
)
def test_bodies_that_are_not_whole(read: Any, bad: frames.Frame) -> None:
    """A frame whose body doesn't hold what it says is one clear error."""
    with pytest.raises(FrameError):
        read(bad)
