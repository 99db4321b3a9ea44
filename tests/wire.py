"""Frames to bytes and back, as two ends of a link do it, without a link."""

from __future__ import annotations

import struct
from typing import Any

from liteyuki_core.comm.wire import decoder, frames, slots
from liteyuki_core.comm.wire.batch import Batch, pack, unpack
from liteyuki_core.comm.wire.payload import dump, load
from liteyuki_core.comm.wire.pieces import opening, pieces

LIMIT = 4 << 20
SLOTS = 1 << 20


class Wire:
    """What a link writes for frames, and a decoder that reads it; long frames may go in slots."""

    def __init__(self, in_slots: bool = False, limit: int = LIMIT) -> None:
        self.decoder = decoder.Decoder(limit, SLOTS)
        self.in_slots = in_slots
        self.slots: list[memoryview] = []

    def write(self, *parts: tuple[Any, ...]) -> list[bytes]:
        """Return the frames on the wire, one by one."""
        out: list[tuple[Any, ...]] = []
        for frame in parts:
            if sum(map(len, frame)) <= frames.CHUNK + frames.HEADER.size:
                out.append(frame)
                continue
            out.append(opening(frame))
            for piece in pieces(frame, slots.SIZE):
                if self.in_slots and len(piece.content) > 100:
                    out.append(piece.slot(len(self.slots)))
                    self.slots.append(piece.content)
                else:
                    out += piece.parts()
        return [b"".join(frame) for frame in out]

    def feed(self, data: bytes, step: int = 1 << 20, take: bool = True) -> list[frames.Frame]:
        """Return the frames that came by the time all of `data` was read."""
        out: list[frames.Frame] = []
        at = 0
        while at < len(data):
            room = self.decoder.buffer()
            piece = data[at : at + min(step, len(room))]
            room[: len(piece)] = piece
            out += self.decoder.decode(len(piece))
            at += len(piece)
            while take and self.decoder.lanes:
                out += self.take()
        return out

    def take(self) -> list[frames.Frame]:
        """Take one piece out of its slot; return the frames that can go on."""
        number, place = self.decoder.place()
        with place:
            place[:] = self.slots[number] if number < len(self.slots) else bytes(len(place))
        return self.decoder.taken()

    def pass_on(self, *parts: tuple[Any, ...]) -> list[frames.Frame]:
        """Return what comes of these frames."""
        return self.feed(b"".join(self.write(*parts)))


def question_body(
    code: int = 1,
    *,
    kind: str = "\0",
    persist: int = 0,
    length: int | None = None,
    request: int = 1,
    version: int = -1,
    ttl: float = 0.0,
    key: bytes = b"k",
    value: bytes = b"",
) -> bytes:
    """Return the body of a question about one key: a `get` of "k", except for what is given."""
    length = len(key) if length is None else length
    numbers = (code, ord(kind), persist, length, request, version, ttl)
    return struct.pack("<BBBHQqd", *numbers) + key + value


ODD_QUESTIONS: dict[str, bytes] = {
    "nothing": b"",
    "half a head": question_body()[:20],
    "no key": question_body(key=b""),
    "a key that is longer than the frame": question_body(length=2),
    "a key over the limit": question_body(key=b"k" * 1025),
    "a key that is no text": question_body(key=b"\xff"),
    "an unknown code": question_body(0),
    "another unknown code": question_body(5, kind="b", value=b"v"),
    "a request over the limit": question_body(request=1 << 62),
    "an unknown code after the last": question_body(6),
    "a get with a value": question_body(kind="b", value=b"v"),
    "a get with bytes behind the key": question_body(value=b"v"),
    "a get with persist": question_body(persist=1),
    "a get with a version": question_body(version=0),
    "a get with a ttl": question_body(ttl=1.0),
    "a delete with a value": question_body(3, kind="t", value=b"v"),
    "a set without a value": question_body(2),
    "a set of an unknown kind": question_body(2, kind="x", value=b"v"),
    "a set with an odd persist": question_body(2, kind="b", persist=3),
    "a set with an odd version": question_body(2, kind="b", version=-2),
    "a set that is over already": question_body(2, kind="b", ttl=-1.0),
    "a set that is over never": question_body(2, kind="b", ttl=float("inf")),
    "a set whose end is no number": question_body(2, kind="b", ttl=float("nan")),
    "an incr without a number": question_body(4),
    "an incr with a version": question_body(4, kind="i", version=7, value=b"0x1"),
    "an incr with a ttl": question_body(4, kind="i", ttl=1.0, value=b"0x1"),
}
"""Questions about one key that no child of ours asks."""


def batch(messages: list[Any], first: int = 0) -> Batch:
    """Return a batch of messages that are not gathered as text."""
    dumped = [dump(m) for m in messages]
    return pack(first, [d for d, _ in dumped], [w for _, w in dumped])


def messages_of(frame: frames.Frame) -> tuple[int, list[Any]]:
    """Return the first number and the messages of a DATA frame."""
    got = unpack(frame)
    return got.first, [load(p) for p in got.payloads()]
