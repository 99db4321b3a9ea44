"""What goes next on a link: order, turns, marks, pieces; without a connection or a thread."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liteyuki_core.comm.wire import frames, slots, words
from liteyuki_core.comm.wire.batch import unpack
from liteyuki_core.comm.wire.bundle import MOST, handled, unbundle
from liteyuki_core.comm.wire.decoder import Decoder
from liteyuki_core.comm.wire.outbox import Asked, Outbox, Told
from liteyuki_core.comm.wire.pieces import AT_ONCE
from tests.wire import LIMIT, batch

JOIN_BYTES = 64 * 1024
TURN_BYTES = 64 * 1024
LAST = 99
"""The channel of all that is put by `put_last`."""

Sent = tuple[Any, ...]


class Way:
    """An outbox, and the other side: it reads at once what is taken, and looks into slots at once.

    Frames have a number each, growing as they are put; `arrived` says in which order they came.
    """

    def __init__(self, with_slots: bool) -> None:
        self.outbox = Outbox(JOIN_BYTES, slots.SIZE if with_slots else 0)
        self.arrived: list[tuple[int, int]] = []
        self.bundles: list[list[int]] = []
        """The channels of each frame that came with batches of many."""
        self.put: dict[int, list[int]] = defaultdict(list)
        self.before: dict[int, set[int]] = {}
        """What was put before a frame of `put_last`, by the number of that."""
        self.free = list(range(slots.COUNT)) if with_slots else []
        self._number = 0
        self._memory: dict[int, memoryview] = {}
        self._emptied: list[int] = []
        self.decoder = Decoder(LIMIT, len(self.free))

    def send(self, stream: int, size: int, kind: Any = tuple) -> None:
        """Put a frame of about `size` bytes; in stream 0 a control frame."""
        number = self._next(stream)
        if stream:
            frame = batch([bytes(size)], number).frame(stream)
        else:
            frame = words.encode(words.AskLoaded(number, ["x" * size]))
        self.outbox.put(stream, kind(frame))

    def send_batch(self, stream: int, size: int) -> None:
        """Put a batch of about `size` bytes; if it is small, it may go with others."""
        self.outbox.put_batch(stream, batch([bytes(size)], self._next(stream)))

    def send_last(self, ranges: int = 1) -> None:
        """Put an acknowledgement that is to go behind everything that was put before it.

        With 0 ranges it has one and is put as a frame of its own.
        """
        before = {number for numbers in self.put.values() for number in numbers}
        number = self._next(LAST)
        self.before[number] = before
        if ranges:
            self.outbox.put_last(LAST + number, [(number, 1)] * ranges)
        else:
            self.outbox.put_frame_last(frames.acknowledgement(LAST + number, [(number, 1)]))

    def take(self) -> int:
        """Have the other side read what is to be written next; return how many bytes."""
        data = b"".join(self.outbox.take())
        at = 0
        while at < len(data):
            *_, length = frames.HEADER.unpack_from(data, at)
            frame = data[at : at + frames.HEADER.size + length]
            self.decoder.buffer()[: len(frame)] = frame
            self._came(self.decoder.decode(len(frame)))
            at += len(frame)
            while self.decoder.lanes:
                number, place = self.decoder.place()
                with place:
                    place[:] = self._memory.pop(number)
                self._emptied.append(number)
                self._came(self.decoder.taken())
        return len(data)

    def fill(self, works: bool = True) -> bool:
        """Put a piece into a slot, or find that there is no memory; return whether one waited."""
        if not self.outbox.parked or not self.free:
            return False
        piece = self.outbox.next_piece()
        if works:
            slot = self.free.pop()
            self._memory[slot] = piece.content
            self.outbox.unpark([piece.slot(slot)])
        else:
            self.outbox.unpark(piece.parts())
        return True

    def give_back(self) -> None:
        """Have the slots free again that the other side has looked into."""
        self.free += self._emptied
        self._emptied.clear()

    def drain(self) -> None:
        """Go on until nothing waits. Nothing waits for ever."""
        while not self.outbox.is_empty:
            self.give_back()
            assert self.take() or self.fill() or self.outbox.is_empty, "what waits can't go on"
            self.check()

    def check(self) -> None:
        """Look whether the outbox is as it should be."""
        outbox = self.outbox
        places = [*outbox.ready, *outbox.parked, *outbox._late]
        assert sorted(places) == sorted(outbox._streams), "each stream is in one place"
        assert 0 not in outbox.parked
        assert 0 not in outbox.ready or outbox.ready[0] == 0, "stream 0 goes first"
        numbers = {number for _, number in self.arrived}
        begun = {channel for channel in self.decoder._long if channel}
        waiting = {
            stream: len(put) - sum(number in numbers for number in put) - (stream in begun)
            for stream, put in self.put.items()
            if stream not in (0, LAST)
        }
        assert outbox.unsent() == {stream: count for stream, count in waiting.items() if count}
        for stream, put in self.put.items():
            came = [number for channel, number in self.arrived if channel == stream]
            assert came == put[: len(came)], f"stream {stream} is in order"

    def check_marks(self) -> None:
        """Look whether what was put last came after everything that was put before it."""
        came: set[int] = set()
        for channel, number in self.arrived:
            if channel == LAST:
                assert self.before[number] <= came
            came.add(number)

    def _next(self, stream: int) -> int:
        self._number += 1
        self.put[stream].append(self._number)
        return self._number

    def _came(self, arrived: list[frames.Frame]) -> None:
        for frame in arrived:
            if frame.kind == frames.MANY:
                self.bundles.append([channel for channel, _ in unbundle(frame)])
                self.arrived += [(channel, batch.first) for channel, batch in unbundle(frame)]
                continue
            if frame.kind == frames.ACK:
                wide = frame.flags & frames.WIDE
                ranges = handled(frame) if wide else frames.acknowledged(frame)
                for number in dict.fromkeys(each[-2] for each in ranges):
                    if (LAST, number) not in self.arrived:  # Many ranges take several frames.
                        self.arrived.append((LAST, number))
                continue
            if frame.kind == frames.DATA:
                number = unpack(frame).first
            else:
                word = words.from_main(frame)
                assert isinstance(word, words.AskLoaded)
                number = word.request
            self.arrived.append((frame.channel, number))


@pytest.fixture(params=[True, False], ids=["slots", "no slots"])
def way(request: pytest.FixtureRequest) -> Way:
    """An outbox, where pieces go through slots and where there are none."""
    return Way(request.param)


sizes = st.sampled_from([0, 100, 30_000, 63_000, 200_000, 300_000, 530_000, 1_100_000])
kinds = st.sampled_from([tuple, Asked, Told])
acts = st.lists(
    st.tuples(st.just("send"), st.integers(1, 12), sizes, kinds)
    | st.tuples(st.just("send"), st.integers(0, 3), sizes, kinds)
    | st.tuples(st.just("send_batch"), st.integers(1, 12), sizes)
    | st.tuples(st.just("send_batch"), st.integers(1, 12), st.just(100))
    | st.tuples(st.just("send_last"), st.sampled_from([0, 1, 2, 700]))
    | st.tuples(st.sampled_from(["take", "give_back"]))
    | st.tuples(st.just("fill"), st.sampled_from([True, True, True, False])),
    max_size=80,
)


@settings(
    max_examples=120,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(acts, st.booleans())
def test_whatever_is_put_and_taken(acts: list[tuple[Any, ...]], with_slots: bool) -> None:
    """Each stream in order, marks behind what they wait for, everything in the end."""
    way = Way(with_slots)
    for name, *arguments in acts:
        getattr(way, name)(*arguments)
        way.check()
    way.drain()
    way.check_marks()
    assert {number for _, number in way.arrived} == {n for put in way.put.values() for n in put}
    assert way.outbox.asked == way.outbox.told == way.outbox._in_parts == 0
    assert not way.outbox.take()


def test_nothing_waits(way: Way) -> None:
    """Then nothing is taken, and what is to go last goes at once."""
    assert way.outbox.is_empty
    assert way.outbox.take() == []
    way.send_last()
    way.send(1, 10)
    way.drain()
    assert [channel for channel, _ in way.arrived] == [LAST, 1]


def test_stream_0_goes_first(way: Way) -> None:
    """Before what was put earlier, also between the pieces of a long frame."""
    way.send(1, 1_100_000)
    way.send(2, 10)
    way.take()
    before = len(way.arrived)
    way.send(2, 20)
    way.send(0, 30)
    way.drain()
    assert way.arrived[before] == (0, way.put[0][0])


def test_streams_take_turns(way: Way) -> None:
    """None has more than a turn's bytes at a time, or the one frame that exceeds them."""
    for size in (100, 20_000, 60_000, 200_000):
        for stream in (1, 2, 3):
            for _ in range(1 + 500_000 // (size + 100)):
                way.send(stream, size)
    way.drain()
    sizes = {}
    for stream in (1, 2, 3):
        for size in (200_000, 60_000, 20_000, 100):
            for _ in range(1 + 500_000 // (size + 100)):
                sizes[way.put[stream].pop()] = size
    runs = [
        [sizes[number] for _, number in run]
        for _, run in groupby(way.arrived, lambda came: came[0])
    ]
    assert len(runs) > 30
    assert all(sum(run[:-1]) < TURN_BYTES for run in runs[:-1])


def test_a_short_frame_passes_long_ones(way: Way) -> None:
    """As many bytes go before it as one turn has, however long the others are."""
    for stream in range(1, AT_ONCE + 3):
        way.send(stream, 2_000_000)
    way.take()
    way.send(50, 10)
    before = 0
    while (50, way.put[50][0]) not in way.arrived:
        before += way.take()
    assert before <= (AT_ONCE + 2) * (TURN_BYTES + frames.CHUNK)
    way.drain()


def test_pieces_wait_for_slots() -> None:
    """A stream whose next is a piece is parked; other streams go on, and it does when it is put."""
    way = Way(True)
    way.send(1, 2 * slots.SIZE)
    way.send(1, 10)
    way.send(2, 10)
    way.take()
    assert list(way.outbox.parked) == [1]
    assert [channel for channel, _ in way.arrived] == [2]
    assert way.take() == 0
    assert not way.outbox.is_empty
    assert way.fill()
    assert list(way.outbox.ready) == [0]
    assert list(way.outbox.parked) == [1]
    assert way.fill(works=False)
    way.drain()
    assert [channel for channel, _ in way.arrived] == [2, 1, 1]


def test_small_pieces_and_stream_0_need_no_slot() -> None:
    """What says that a slot is filled goes in stream 0, which is never parked."""
    way = Way(True)
    way.send(0, 1_000_000)
    way.send(1, slots.SIZE + 100)
    while way.take():
        pass
    assert [channel for channel, _ in way.arrived] == [0]
    assert way.fill()
    while way.take():
        pass
    assert [channel for channel, _ in way.arrived] == [0, 1]
    assert way.outbox.is_empty


def test_late_streams(way: Way) -> None:
    """So many long frames are under way at once; others wait, and what is short does not."""
    for stream in range(1, AT_ONCE + 4):
        way.send(stream, 1_100_000)
    for _ in range(AT_ONCE + 3):
        way.take()
    late = list(way.outbox._late)
    assert late == list(range(AT_ONCE + 1, AT_ONCE + 4))
    way.send(late[0], 10)
    way.send(50, 10)
    while (50, way.put[50][0]) not in way.arrived:
        assert way.take()
    assert way.arrived == [(50, way.put[50][0])]
    way.drain()
    ended = [channel for channel, number in way.arrived if number == way.put[channel][0]]
    assert [channel for channel in ended if channel in late] == late, "first come, first served"


def test_marks_stand_behind_pieces(way: Way) -> None:
    """What goes last waits for every piece of the long frames before it, and for nothing after."""
    way.send(1, 1_100_000)
    way.send(2, 1_100_000)
    way.send(3, 10)
    way.take()
    way.send_last()
    way.send(4, 3_000_000)
    way.drain()
    way.check_marks()
    assert [channel for channel, _ in way.arrived] == [3, 1, 2, LAST, 4]


def test_what_waiting_frames_cost(way: Way) -> None:
    """It is counted from `put` to `take`, by who has caused them."""
    way.send(1, 1000)
    assert (way.outbox.asked, way.outbox.told) == (0, 0)
    way.send(2, 70_000, Asked)
    way.send(3, 2000, Told)
    way.send_last()
    assert 70_000 < way.outbox.asked < 71_000
    assert 2000 < way.outbox.told < 3000
    way.take()
    assert way.outbox.asked == 0
    assert 2000 < way.outbox.told < 3000
    way.take()
    assert (way.outbox.asked, way.outbox.told) == (0, 0)


def test_joining() -> None:
    """Few bytes are one buffer; more are given as they are, without a copy."""
    outbox = Outbox(1000, 0)
    outbox.put(1, (b"a" * 400, b"b" * 600))
    assert outbox.take() == [b"a" * 400 + b"b" * 600]
    outbox.put(1, (b"a" * 400, b"b" * 601))
    assert outbox.take() == [b"a" * 400, b"b" * 601]


def test_unsent_and_clear(way: Way) -> None:
    """Messages that have not begun to go are counted; after `clear` nothing waits."""
    way.send(1, 1_100_000)
    way.send(1, 1_100_000)
    way.send(2, 10)
    way.send(0, 10)
    way.send_last()
    assert way.outbox.unsent() == {1: 2, 2: 1}
    way.take()
    assert way.outbox.unsent()[1] == 1
    way.outbox.clear()
    assert way.outbox.unsent() == {}
    assert way.outbox.is_empty
    assert way.outbox.take() == []


def test_stream_0_is_never_late() -> None:
    """What says that slots are filled stands behind its frames, so the others wait for it."""
    way = Way(True)
    for stream in range(1, AT_ONCE + 1):
        way.send(stream, 4 * slots.SIZE)
    way.take()
    way.send(0, 300_000)
    way.drain()
    assert way.arrived[0] == (0, way.put[0][0])


def test_small_batches_go_together(way: Way) -> None:
    """Those of many channels are one frame; what is alone, or too long for that, is its own."""
    way.send_batch(1, 100)
    way.drain()
    assert way.bundles == []
    for stream in range(1, 6):
        way.send_batch(stream, 100)
    way.send_batch(6, 5000)
    way.send_batch(7, 100)
    way.drain()
    assert way.bundles == [[2, 3, 4, 5, 7]]
    assert way.arrived[1:] == [(s, way.put[s][-1]) for s in (1, 2, 3, 4, 5, 7, 6)]


def test_what_waits_alone_in_a_bundle_is_an_ordinary_frame(way: Way) -> None:
    """So nothing changes for who sends on one channel."""
    way.send(1, 10)
    way.send_batch(2, 10)
    way.drain()
    assert way.bundles == []
    assert [channel for channel, _ in way.arrived] == [1, 2]


def test_a_bundle_keeps_the_order_of_its_streams(way: Way) -> None:
    """What is put behind it leaves behind it, small or long, also if another bundle was begun."""
    way.send(1, 200_000)
    way.send_batch(2, 100)
    way.send_batch(2, 10_000)
    way.send_batch(2, 100)
    way.send_batch(3, 100)
    way.drain()
    way.check()
    assert way.bundles == [[2, 3]]


def test_a_bundle_has_a_bound(way: Way) -> None:
    """In batches and in bytes; the next is then another frame."""
    way.send(1, 10)
    for stream in range(2, MOST + 12):
        way.send_batch(stream, 10)
    way.drain()
    assert list(map(len, way.bundles)) == [MOST, 10]
    way.bundles.clear()
    way.send(1, 10)
    for stream in range(2, 70):
        way.send_batch(stream, 1500)
    way.drain()
    assert sum(map(len, way.bundles)) == 68
    assert 30 < len(way.bundles[0]) < 1 + TURN_BYTES // 1500


def test_acknowledgements_go_together(way: Way) -> None:
    """Those of many channels, until something is put that must leave before later ones."""
    way.send(1, 10)
    way.send_last()
    way.send_last()
    way.send(2, 10)
    way.send_last()
    data = way.outbox.take()
    kinds = []
    at = 0
    whole = b"".join(data)
    while at < len(whole):
        _, kind, flags, _, length = frames.HEADER.unpack_from(whole, at)
        kinds.append((kind, flags))
        at += frames.HEADER.size + length
    assert kinds == [
        (frames.DATA, 0),
        (frames.ACK, frames.WIDE),
        (frames.DATA, 0),
        (frames.ACK, 0),
    ]


def test_many_acknowledgements(way: Way) -> None:
    """However many ranges come at once, no frame has more than may be read."""
    way.send_last(5 * MOST)
    way.send_last(3)
    way.drain()
    assert dict.fromkeys(way.arrived) == {(LAST, 1): None, (LAST, 2): None}


def test_unsent_messages_of_a_bundle(way: Way) -> None:
    """Are counted by channel."""
    way.send(1, 10)
    way.send_batch(2, 10)
    way.send_batch(3, 10)
    way.send_batch(2, 10)
    assert way.outbox.unsent() == {1: 1, 2: 2, 3: 1}
    way.outbox.clear()
    way.send_batch(4, 10)
    assert way.outbox.unsent() == {4: 1}
