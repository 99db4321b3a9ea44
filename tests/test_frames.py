"""The wire format, without a socket."""

from __future__ import annotations

import random
from typing import Any

import pytest

from liteyuki_core.comm import frames
from liteyuki_core.errors import FrameError

LIMIT = 4 << 20


def decode(data: bytes, step: int = 1 << 20) -> list[frames.Frame]:
    """Feed `data` in steps and return all frames."""
    decoder = frames.Decoder(LIMIT)
    out: list[frames.Frame] = []
    at = 0
    while at < len(data):
        room = decoder.buffer()
        piece = data[at : at + min(step, len(room))]
        room[: len(piece)] = piece
        out += decoder.decode(len(piece))
        at += len(piece)
    return out


def wire(*parts: tuple[Any, ...]) -> bytes:
    """Return what a link writes for these frames."""
    out = []
    for frame in parts:
        whole = sum(map(len, frame)) <= frames.CHUNK + frames.HEADER.size
        out += [b"".join(p) for p in ([frame] if whole else frames.pieces(frame))]
    return b"".join(out)


def batch(messages: list[Any], first: int = 0) -> frames.Batch:
    """Return a batch of messages that are not gathered as text."""
    dumped = [frames.dump(m) for m in messages]
    return frames.pack(first, [d for d, _ in dumped], [w for _, w in dumped])


def messages_of(frame: frames.Frame) -> tuple[int, list[Any]]:
    """Return the first number and the messages of a DATA frame."""
    got = frames.unpack(frame)
    return got.first, [frames.load(p) for p in got.payloads()]


@pytest.mark.parametrize("step", [1, 7, 1000, 1 << 20])
def test_round_trip(step: int) -> None:
    """Whatever the pieces in which bytes come, the same frames come out."""
    mixed = [1, "text", b"raw", {"a": [1.5, None]}, b"", "", "长" * 20_000]
    texts = ["plain", "中文", "\ud800 lone", "", "é" * 300]
    data = wire(
        batch(mixed, 7).frame(3),
        frames.control(0, op="open", name="名"),
        frames.pack_text(1 << 40, texts).frame(1 << 31),
        frames.acknowledgement(9, [(0, 5), (1 << 50, 64)]),
    )
    one, two, three, four = decode(data, step)
    assert (one.kind, one.channel) == (frames.DATA, 3)
    assert messages_of(one) == (7, mixed)
    assert frames.fields(two) == {"op": "open", "name": "名"}
    assert three.channel == 1 << 31
    assert messages_of(three) == (1 << 40, texts)
    assert (four.channel, frames.acknowledged(four)) == (9, [(0, 5), (1 << 50, 64)])


@pytest.mark.parametrize("size", [frames.CHUNK - 50, frames.CHUNK, 3 * frames.CHUNK, 3_000_001])
def test_long_messages_go_in_pieces(size: int) -> None:
    """No frame on the wire is longer than a chunk, and small ones may go between."""
    message = random.Random(size).randbytes(size)
    big = list(frames.pieces(batch([message]).frame(1)))
    assert all(sum(map(len, p)) <= frames.CHUNK + frames.HEADER.size for p in big)
    small = frames.pack_text(0, ["between"]).frame(2)
    parts = [b"".join(p) for p in big]
    got = decode(b"".join([*parts[:-1], *small, parts[-1]]))
    assert [f.channel for f in got] == [2, 1]
    assert messages_of(got[-1]) == (0, [message])


def test_forwarding_leaves_the_messages_as_they_are() -> None:
    """A batch can be numbered anew without being rebuilt."""
    got = frames.unpack(decode(wire(batch([1, "x", b"y"]).frame(1)))[0])
    again = got.having(1000)
    assert again.buffers is got.buffers
    assert messages_of(decode(wire(again.frame(5)))[0]) == (1000, [1, "x", b"y"])


@pytest.mark.parametrize("text", [True, False])
def test_some_of_a_batch(text: bool) -> None:
    """Runs of a batch keep the messages' numbers and the batch's flags."""
    messages = ["a", "bb中", "", "d\ud800", "e"] if text else [1, b"b", "c", None, b""]
    whole = frames.pack_text(10, messages) if text else batch(messages, 10)  # type: ignore[arg-type]
    whole = whole.having(10, frames.PROMPT)
    parts = list(whole.runs([None, 1, 1, None, 2]))
    again = [(kind, frames.unpack(decode(wire(part.frame(1)))[0])) for kind, part in parts]
    for kind, part in [*parts, *again]:
        start = 1 if kind == 1 else 4
        assert part.first == 10 + start
        assert part.flags == frames.PROMPT
        assert [frames.load(p) for p in part.payloads()] == messages[start : start + part.count]
    assert [(kind, part.count) for kind, part in parts] == [(1, 2), (2, 1)]
    assert next(whole.runs([0] * 5))[1] is whole


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
        decode(data)


def test_an_endless_message_is_refused() -> None:
    """Pieces that add up to more than the limit raise before more is kept."""
    piece = frames.HEADER.pack(frames.MAGIC, frames.PART, 0, 1, frames.CHUNK) + bytes(frames.CHUNK)
    with pytest.raises(FrameError, match="channel 1"):
        decode(piece * (LIMIT // frames.CHUNK + 2))


def frame(kind: int, body: bytes, flags: int = 0) -> frames.Frame:
    """Return a frame as a decoder would."""
    return frames.Frame(kind, flags, 1, body)


@pytest.mark.parametrize(
    ("read", "bad"),
    [
        (frames.unpack, frame(frames.DATA, b"short")),
        (frames.unpack, frame(frames.DATA, bytes(12))),
        (frames.unpack, frame(frames.DATA, bytes(8) + b"\xff\xff\xff\xff" + bytes(100))),
        (frames.unpack, frame(frames.DATA, bytes(8) + b"\1\0\0\0" + b"\5\0\0\0" + b"xx")),
        (frames.unpack, frame(frames.DATA, bytes(8) + b"\1\0\0\0" + b"\1\0\0\0" + b"\xff", 1)),
        (frames.unpack, frame(frames.DATA, bytes(8) + b"\1\0\0\0" + b"\2\0\0\0" + b"x", 1)),
        (frames.acknowledged, frame(frames.ACK, b"short")),
        (frames.fields, frame(frames.CONTROL, b"\xff{")),
        (frames.fields, frame(frames.CONTROL, b"[1]")),
        (frames.fields, frame(frames.CONTROL, b"{}")),
        (frames.fields, frame(frames.CONTROL, b"[" * 100_000)),
    ],
)
def test_bodies_that_are_not_whole(read: Any, bad: frames.Frame) -> None:
    """A frame whose body doesn't hold what it says is one clear error."""
    with pytest.raises(FrameError):
        read(bad)


def test_any_bytes_give_frames_or_one_error() -> None:
    """Damaged streams never raise anything else, and never hang."""
    rng = random.Random(7)
    good = wire(
        batch([1, b"x" * 1000, "y"]).frame(1),
        frames.pack_text(0, ["a", "b"]).frame(2),
        frames.control(0, op="names", add={}, remove=[]),
        batch([b"z" * 600_000]).frame(3),
        frames.acknowledgement(1, [(0, 3)]),
    )
    readers = {
        frames.DATA: frames.unpack,
        frames.ACK: frames.acknowledged,
        frames.CONTROL: frames.fields,
    }
    for _ in range(300):
        data = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(200 if rng.random() < 0.7 else len(data))] = rng.randrange(256)
        del data[rng.randrange(len(data)) :]
        try:
            for got in decode(bytes(data), rng.choice([100, 5000, 1 << 20])):
                readers[got.kind](got)  # type: ignore[operator]
        except FrameError:
            pass
