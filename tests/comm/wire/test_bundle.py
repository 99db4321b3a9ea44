"""Small batches and acknowledgements of many channels as one frame, and back; over a link too."""

from __future__ import annotations

import asyncio
import random
import struct
from typing import Any

import pytest

from liteyuki_core.comm.channel import Channel
from liteyuki_core.comm.wire import frames, slots
from liteyuki_core.comm.wire.batch import Batch, pack_text
from liteyuki_core.comm.wire.bundle import (
    MOST,
    SMALL_BATCH,
    Bundle,
    Handled,
    fits,
    handled,
    separate,
    unbundle,
)
from liteyuki_core.comm.wire.link import Link
from liteyuki_core.comm.wire.payload import load
from liteyuki_core.errors import ChannelEmpty, FrameError
from tests.conftest import wait_until
from tests.pair import Pair, run_async
from tests.wire import Wire, batch, messages_of

BATCHES: list[tuple[int, Batch, list[Any]]] = [
    (7, pack_text(0, ["hello"]), ["hello"]),
    (8, pack_text(2**63, ["长\0", "", "\ud800"]), ["长\0", "", "\ud800"]),
    (7, pack_text(1, ["a", "b", "c"]), ["a", "b", "c"]),
    (2**32 - 2, batch([{"a": 1}, None, b"raw", b""], 5), [{"a": 1}, None, b"raw", b""]),
    (9, pack_text(3, [""]), [""]),
    (9, pack_text(4, ["again"]).having(4, frames.REDELIVERED | frames.PROMPT), ["again"]),
]


def bundled(*batches: tuple[int, Batch, list[Any]]) -> tuple[Any, ...]:
    """Return the frame of a bundle with these batches."""
    bundle = Bundle()
    for channel, each, _ in batches:
        bundle.add(channel, each, fits(each))
    return bundle.frame()


@pytest.mark.parametrize("kept", [True, False])
def test_batches_come_back_as_they_were(kept: bool) -> None:
    """In order, each with its channel, numbers and flags."""
    (frame,) = Wire().pass_on(bundled(*BATCHES))
    assert (frame.kind, frame.channel) == (frames.MANY, 0)
    for (channel, sent, messages), (number, got) in zip(
        BATCHES, unbundle(frame, kept), strict=True
    ):
        assert (number, got.first, got.count, got.flags) == (
            channel,
            sent.first,
            len(messages),
            sent.flags,
        )
        assert [load(payload) for payload in got.payloads()] == messages
        assert got.size == sent.size
        assert got.kept is kept
        # What came is what the hub keeps, and may give out again.
        assert b"".join(got.frame(number)) == b"".join(sent.frame(number))


def test_separate_frames() -> None:
    """They are those that the batches would have been."""
    (frame,) = Wire().pass_on(bundled(*BATCHES))
    alone = Wire().pass_on(*[sent.frame(channel) for channel, sent, _ in BATCHES])
    assert separate(frame) == alone


def test_what_fits() -> None:
    """Small batches in one buffer; not what carries channels, nor long messages."""
    assert fits(pack_text(0, ["x" * SMALL_BATCH])) == SMALL_BATCH
    assert not fits(pack_text(0, ["x" * (SMALL_BATCH + 1)]))
    assert not fits(batch([bytes(100_000)]))
    assert not fits(batch([bytes(1_000_000)]))
    assert not fits(batch(["x"]).having(0, frames.LINKED))
    assert fits(batch([b"x"]).having(0, frames.PROMPT)) > 0


@pytest.mark.parametrize("after", [False, True])
def test_order_where_a_piece_waits_in_a_slot(after: bool) -> None:
    """Messages behind the piece of a long one wait for it; those of other channels do not."""
    wire = Wire(in_slots=True)
    long = random.Random(1).randbytes(2 * slots.SIZE)
    small = bundled(
        (2, pack_text(0, ["other"]), []), (1, pack_text(1, ["behind"]), []), (3, BATCHES[0][1], [])
    )
    data = b"".join(wire.write(batch([long]).frame(1), small))
    got = wire.feed(data, take=after)
    while not after and wire.decoder.lanes:
        got += wire.take()
    if not after:
        assert [frame.channel for frame in got] == [2, 3, 1, 1]
    own = [messages_of(frame) for frame in got if frame.channel == 1]
    assert own == [(0, [long]), (1, ["behind"])]


def changed(at: int, value: bytes, batches: int = 2) -> bytes:
    """Return the body of a bundle of "hello"s with other bytes at `at`."""
    (whole,) = bundled(*[BATCHES[0]] * batches)
    body = bytearray(whole[frames.HEADER.size :])
    body[at : at + len(value)] = value
    return bytes(body)


LENGTHS = 4 + 2 * 16
FLAGS = LENGTHS + 2 * 4


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\1\0",
        struct.pack("<I", 0),
        struct.pack("<I", MOST + 1) + bytes(100_000),
        struct.pack("<I", 2**32 - 1) + bytes(1000),
        changed(0, b"\3"),
        changed(0, b"\1"),
        changed(0, b"")[:-1],
        changed(0, b"") + b"x",
        changed(LENGTHS, b"\6"),
        changed(LENGTHS, b"\xff\xff\xff\xff"),
        changed(LENGTHS - 8, b"\2"),
        changed(LENGTHS - 8, b"\0"),
        changed(FLAGS, bytes([frames.LONG])),
        changed(FLAGS, bytes([frames.IN_PIECES])),
        changed(FLAGS, bytes([frames.LINKED])),
        changed(FLAGS, bytes([128])),
        changed(FLAGS, bytes([0])),
        changed(FLAGS + 2, b"\xff\xff"),
    ],
)
def test_bundles_that_are_not_whole(body: bytes) -> None:
    """Each is one clear error, whatever it says how much there is."""
    with pytest.raises(FrameError):
        unbundle(frames.Frame(frames.MANY, 0, 0, body))


def test_acknowledgements_come_back() -> None:
    """With their channels, in order; those of one channel as an ordinary frame."""
    gathered = Handled()
    assert gathered.add(7, [(0, 5), (9, 1)])
    assert gathered.add(2**32 - 2, [(2**63, 2**32 - 1)])
    assert gathered.add(7, [(10, 1)])
    (frame,) = Wire().pass_on(gathered.frame())
    assert handled(frame) == [
        (7, 0, 5),
        (7, 9, 1),
        (2**32 - 2, 2**63, 2**32 - 1),
        (7, 10, 1),
    ]
    gathered = Handled()
    gathered.add(7, [(0, 5), (9, 1)])
    gathered.add(7, [(10, 1)])
    (frame,) = Wire().pass_on(gathered.frame())
    assert (frame.channel, frames.acknowledged(frame)) == (7, [(0, 5), (9, 1), (10, 1)])


@pytest.mark.parametrize("body", [b"", bytes(15), bytes(17), bytes(16 * (MOST + 1))])
def test_acknowledgements_that_are_not_whole(body: bytes) -> None:
    """Nothing, half a range, and more than may come in one frame."""
    with pytest.raises(FrameError):
        handled(frames.Frame(frames.ACK, frames.WIDE, 0, body))


def frames_of(link: Link) -> list[frames.Frame]:
    """Return a list to which the frames that come on a link are added from now on."""
    came: list[frames.Frame] = []
    hand_over = link._on_frames

    def noted(arrived: list[frames.Frame]) -> Any:
        came.extend(arrived)
        return hand_over(arrived)

    link._on_frames = noted
    return came


def send_one_on_each(channels: list[Channel[Any]], what: str) -> None:
    """Send a message on each channel, in one turn of a loop."""

    async def send() -> None:
        for number, channel in enumerate(channels):
            await channel.async_send(f"{what} {number}")
        await asyncio.sleep(0)

    run_async(send())


def test_one_message_on_each_of_many_channels(pair: Pair) -> None:
    """They are few frames, and so are their acknowledgements; so it is the other way round."""
    both = [pair.channel() for _ in range(200)]
    ours, theirs = [one for one, _ in both], [other for _, other in both]
    for senders, receivers, link, back in (
        (ours, theirs, pair.port._link, pair.peer.link),
        (theirs, ours, pair.peer.link, pair.port._link),
    ):
        got: list[str] = []
        for channel in receivers:

            @channel.on_receive()
            async def note(data: str, got: list[str] = got) -> None:
                got.append(data)

        came, told = frames_of(link), frames_of(back)
        send_one_on_each(senders, "message")
        wait_until(lambda got=got: len(got) == 200, "all have come")
        assert sorted(got) == sorted(f"message {number}" for number in range(200))
        wait_until(
            lambda senders=senders: all(each.stats()["acknowledged"] for each in senders),
            "all were acknowledged",
        )
        data = [frame.kind for frame in came if frame.kind in (frames.DATA, frames.MANY)]
        assert frames.MANY in data
        assert len(data) < 20
        if back is pair.peer.link:
            acknowledged = [frame.flags for frame in told if frame.kind == frames.ACK]
            assert frames.WIDE in acknowledged
            assert len(acknowledged) < 100


def test_who_dies_with_messages_of_many_channels(pair: Pair) -> None:
    """Leaves each of them to its successor, in order."""
    both = [pair.channel() for _ in range(50)]
    for _, theirs in both:
        with pytest.raises(ChannelEmpty):
            theirs.receive_nowait()
    came = frames_of(pair.port._link)
    ours = [one for one, _ in both]
    for what in ("first", "second"):
        send_one_on_each(ours, what)
    wait_until(lambda: all(theirs.stats()["backlog"] == 2 for _, theirs in both), "all are there")
    assert frames.MANY in {frame.kind for frame in came}
    assert both[7][1].receive(10) == "first 7"
    pair.kill_child()
    for number, channel in enumerate(ours):
        end = Channel._of(pair.child.get(f"channel-{number + 1}"))
        assert [end.receive(10) for _ in range(2)] == [f"first {number}", f"second {number}"]
        assert end.stats()["redelivered"] == 2
        assert channel.stats()["dropped"] == 0
