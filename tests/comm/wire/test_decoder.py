"""Long frames in pieces and the decoder that puts them together, without a socket.

Tests comm/wire/pieces.py.
"""

from __future__ import annotations

import random
import tracemalloc

import pytest

from liteyuki_core.comm.wire import decoder, frames, slots, words
from liteyuki_core.comm.wire.batch import pack_text
from liteyuki_core.comm.wire.pieces import PIECE, freed
from liteyuki_core.errors import FrameError
from tests.wire import LIMIT, Wire, batch, messages_of

HEAD = frames.HEADER.size


def header(kind: int, flags: int, body: bytes, channel: int = 1) -> bytes:
    """Return a frame."""
    return frames.HEADER.pack(frames.MAGIC, kind, flags, channel, len(body)) + body


def opening(*lengths: int, flags: int = 0) -> bytes:
    """Return the opening of a long DATA frame with segments of these lengths."""
    return header(frames.DATA, frames.IN_PIECES | flags, frames.table(lengths))


def part(size: int) -> bytes:
    """Return a piece."""
    return header(frames.PART, 0, bytes(size))


@pytest.mark.parametrize("in_slots", [False, True])
@pytest.mark.parametrize("step", [7_001, 1 << 20])
@pytest.mark.parametrize("size", [frames.CHUNK, 3 * frames.CHUNK, 1_500_001, 3 * slots.SIZE])
def test_long_messages_go_in_pieces(size: int, step: int, in_slots: bool) -> None:
    """No piece is longer than it may be, and frames of other channels may go between any two."""
    message = random.Random(size).randbytes(size)
    wire = Wire(in_slots)
    parts = wire.write(batch([message], 5).frame(1))
    assert max(map(len, parts)) <= PIECE + HEAD
    small = b"".join(pack_text(0, ["between"]).frame(2))
    got = wire.feed(small.join([b"", *parts, b""]), step)
    assert [f.channel for f in got].count(2) == len(parts) + 1
    (whole,) = [f for f in got if f.channel == 1]
    assert messages_of(whole) == (5, [message])


@pytest.mark.parametrize("in_slots", [False, True])
def test_other_long_frames(in_slots: bool) -> None:
    """Control frames and batches of short messages may be long too."""
    wire = Wire(in_slots)
    names = {f"channel-{i}": (1, f"0.{i}") for i in range(30_000)}
    texts = ["长" * 10_000] * 20
    short = [["x" * 3000, i] for i in range(200)]
    one, two, three = wire.pass_on(
        words.encode(words.Names(names, [], "1.")),
        pack_text(3, texts).frame(1),
        batch(short, 8).frame(1),
    )
    assert words.from_main(one) == words.Names(names, [], "1.")
    assert messages_of(two) == (3, texts)
    assert messages_of(three) == (8, short)


def test_what_comes_behind_a_piece_in_a_slot_keeps_its_order() -> None:
    """Frames of the same channel wait for the piece, all others and ACK frames do not."""
    wire = Wire(in_slots=True)
    message = random.Random(2).randbytes(2 * slots.SIZE)
    data = wire.write(
        batch([message], 0).frame(1),
        pack_text(1, ["behind"]).frame(1),
        batch([message], 2).frame(1),
        frames.acknowledgement(1, [(0, 1)]),
        words.encode(words.Close(), 1),
        batch([message], 0).frame(2),
        pack_text(0, ["other"]).frame(3),
    )
    got = wire.feed(b"".join(data), take=False)
    assert [(f.kind, f.channel) for f in got] == [(frames.ACK, 1), (frames.DATA, 3)]
    later = [wire.take() for _ in range(6)]
    assert [len(batch) for batch in later] == [0, 0, 2, 1, 0, 2], "the channels take turns"
    own = [f for taken in later for f in taken if f.channel == 1]
    assert [messages_of(f)[0] for f in own[:3]] == [0, 1, 2]
    assert isinstance(words.from_child(own[3]), words.Close)
    assert not wire.decoder.lanes


def test_slots_that_are_given_back() -> None:
    """They are told beside the frames."""
    wire = Wire()
    assert wire.pass_on(freed([3, 1]), freed([2])) == []
    assert wire.decoder.freed == [3, 1, 2]


@pytest.mark.parametrize(
    "data",
    [
        part(10),
        opening(),
        opening(0),
        opening(5, 0),
        opening(5) + opening(5),
        opening(5) + part(6),
        opening(5) + part(3) + part(3),
        opening(5) + part(0),
        opening(5, 5) + part(10),
        opening(frames.LENGTH),
        opening(LIMIT, LIMIT),
        header(frames.DATA, frames.IN_PIECES, b"12345"),
        header(frames.SLOT, 0, frames.table([0, 10])),
        opening(5) + header(frames.SLOT, 0, frames.table([0, 6])),
        opening(5) + header(frames.SLOT, 0, frames.table([0, 0])),
        opening(5) + header(frames.SLOT, 0, frames.table([1 << 30, 5])),
        opening(5) + header(frames.SLOT, 0, frames.table([1])),
        header(frames.FREE, 0, b""),
        header(frames.FREE, 0, b"123"),
        header(frames.FREE, 0, frames.table([1 << 30])),
        header(frames.PART, frames.IN_PIECES, frames.table([1])),
        header(frames.ACK, frames.IN_PIECES, frames.table([1])),
    ],
)
def test_pieces_that_fit_nothing_are_refused(data: bytes) -> None:
    """They are one clear error."""
    with pytest.raises(FrameError):
        Wire().feed(data)


def test_without_slots_none_may_be_used() -> None:
    """Where no memory is shared a frame that speaks of slots is an error."""
    wire = Wire()
    wire.decoder = decoder.Decoder(LIMIT)
    with pytest.raises(FrameError, match="there are 0"):
        wire.pass_on(freed([0]))


@pytest.mark.parametrize("top", [0, frames.TOP])
def test_memory_is_taken_once(top: int) -> None:
    """A long message takes its own size, and before it comes nothing."""
    size = 3_500_000
    announced = opening(12, size | top, flags=frames.LONG)
    wire = Wire()
    pieces = [part(12), *(part(min(50_000, size - at)) for at in range(0, size, 50_000))]
    tracemalloc.start()
    try:
        wire.feed(announced)
        assert tracemalloc.get_traced_memory()[1] < 20_000
        for piece in pieces[:-1]:
            assert wire.feed(piece) == []
        (frame,) = wire.feed(pieces[-1])
        assert tracemalloc.get_traced_memory()[1] < size + 100_000
    finally:
        tracemalloc.stop()
    assert type(frame.segments[0]) is (bytearray if top else bytes)
    assert len(frame.segments[0]) == size
