"""One link: writing that never waits, a reader that tells its end once, handles that are closed.

Tests comm/wire/endpoint.py, comm/wire/slots.py.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from liteyuki_core.comm.loop.wakes import Wake
from liteyuki_core.comm.wire import decoder, frames, link, slots, words
from liteyuki_core.comm.wire.batch import pack, unpack
from liteyuki_core.comm.wire.endpoint import Endpoint, connection_pair
from liteyuki_core.comm.wire.payload import dump, load
from liteyuki_core.comm.wire.pieces import freed, opening, pieces
from tests.conftest import wait_until
from tests.wire import Wire

LIMIT = 32 << 20


class Peer:
    """One end of a pair of links, and what came to it."""

    def __init__(self, endpoint: Endpoint, name: str) -> None:
        self.frames: list[frames.Frame] = []
        self.ends: list[str | None] = []
        self.gate = threading.Event()
        self.gate.set()
        self.link = link.Link(
            endpoint,
            name,
            max_message_bytes=LIMIT,
            on_frames=self._on_frames,
            on_end=self.ends.append,
        )

    def _on_frames(self, arrived: list[frames.Frame]) -> list[Wake]:
        self.gate.wait(20)
        self.frames += arrived
        return []


@pytest.fixture(params=["as here", "as elsewhere"])
def peers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two linked peers, also with the handles that systems without MSG_DONTWAIT need."""
    if request.param == "as elsewhere":
        monkeypatch.setattr(link, "_DONTWAIT", 0)
        monkeypatch.setattr(slots, "shared", lambda: None)
    ours, theirs = connection_pair()
    one, other = Peer(ours, "one"), Peer(theirs, "other")
    one.link.start()
    other.link.start()
    yield one, other
    for peer in (one, other):
        peer.gate.set()
        peer.link.close(2)
        wait_until(lambda peer=peer: len(peer.ends) == 1)


def data(size: int, channel: int, first: int = 0) -> tuple[Any, ...]:
    """Return a DATA frame of one message."""
    payload, length = dump(bytes([channel]) * size)
    return pack(first, [payload], [length]).frame(channel)


def test_writing_never_waits(peers: Any) -> None:
    """A peer that doesn't read holds up nobody who writes to it; later it gets everything."""
    one, other = peers
    other.gate.clear()
    one.link.queue(1, data(1, 1))
    one.link.pump()
    begun = time.monotonic()
    for i in range(20):
        one.link.queue(1, data(1_000_000, 1, i))
        one.link.pump()
    assert time.monotonic() - begun < 10, "this would wait for ever if it waited at all"
    assert not other.frames
    other.gate.set()
    wait_until(lambda: len(other.frames) == 21)
    assert [unpack(f).first for f in other.frames[1:]] == list(range(20))


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors that can be limited")
def test_no_more_handles_can_be_opened(peers: Any) -> None:
    """What the writer thread is to write arrives, or the link ends: nothing is lost unheard."""
    import resource

    one, other = peers
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            socket.socketpair()
        for i in range(20):
            one.link.queue(1, data(1_000_000, 1, i))
            one.link.pump()
        wait_until(lambda: len(other.frames) == 20 or (one.ends and other.ends))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if sys.platform == "linux" and link._DONTWAIT:
        assert len(other.frames) == 20
        assert not one.ends


def test_a_long_message_lets_small_ones_pass(peers: Any) -> None:
    """Other streams take turns with a long message's pieces, and stream 0 goes first."""
    one, other = peers
    other.gate.clear()
    one.link.queue(9, data(1, 9))
    one.link.pump()
    one.link.queue(1, data(20_000_000, 1))
    one.link.queue(2, data(10, 2))
    one.link.queue(0, words.encode(words.Clean()))
    other.gate.set()
    one.link.pump()
    wait_until(lambda: len(other.frames) == 4)
    assert [f.channel for f in other.frames] == [9, 0, 2, 1]


def test_what_is_queued_last_leaves_last(peers: Any) -> None:
    """Who has it has all that was queued before it in any stream, also if nothing more comes."""
    one, other = peers
    last = threading.Event()

    def died_when_it_came(arrived: list[frames.Frame]) -> list[Wake]:
        other.frames += arrived
        if any(frame.channel == 7 and len(frame.body) > 20 for frame in arrived):
            one.link._shutdown()
            last.set()
        return []

    other.link._on_frames = died_when_it_came
    for stream in (1, 2, 3):
        one.link.queue(stream, data(5_000_000, stream))
        one.link.queue(stream, data(10, stream))
        one.link.queue_last(7, [(0, 1)])
    one.link.queue(4, data(10, 4))
    one.link.queue_last(7, [(0, 1), (5, 1)])
    one.link.queue(5, data(20_000_000, 5))
    one.link.pump()
    assert last.wait(20)
    wait_until(lambda: other.ends)
    channels = [frame.channel for frame in other.frames]
    assert sorted(channels) == [1, 1, 2, 2, 3, 3, 4, 7, 7, 7, 7]
    sizes = [len(frame.body) for frame in other.frames if frame.channel == 7]
    assert sizes == sorted(sizes)


def test_what_is_queued_last_goes_first_where_nothing_is(peers: Any) -> None:
    """It needs no stream of its own."""
    one, other = peers
    one.link.queue_last(7, [(0, 1)])
    one.link.queue(1, data(1, 1))
    one.link.pump()
    wait_until(lambda: len(other.frames) == 2)
    assert [frame.channel for frame in other.frames] == [7, 1]


@contextmanager
def half(monkeypatch: pytest.MonkeyPatch, shared: bool) -> Iterator[tuple[Peer, Endpoint]]:
    """Give a link that is started and the bare other end of its connection."""
    if not shared:
        monkeypatch.setattr(slots, "shared", lambda: None)
    ours, theirs = connection_pair()
    if shared and theirs.memory is None:
        ours.close()
        theirs.close()
        pytest.skip("no memory can be shared here")
    peer = Peer(ours, "one")
    peer.link.start()
    with closing(theirs):
        yield peer, theirs
    peer.link.close(2)
    wait_until(lambda: len(peer.ends) == 1)


@pytest.mark.parametrize("shared", [True, False])
def test_a_small_message_overtakes_a_long_one(monkeypatch: Any, shared: bool) -> None:
    """What goes before it, in the queue and in the kernel, is no more than one chunk."""
    with half(monkeypatch, shared) as (one, theirs):
        one.link.queue(1, data(10_000_000, 1))
        one.link.pump()
        if shared:
            wait_until(lambda: not one.link._free)
        else:
            wait_until(lambda: one.link._writer)
        wait_until(lambda: not one.link._filling)
        one.link.queue(2, data(10, 2))
        one.link.pump()
        small = b"".join(data(10, 2))
        came = b""
        while small not in came:
            came += theirs.connection.recv(1 << 20)
        assert came.index(small) <= frames.CHUNK + 1000


def test_long_messages_go_through_memory(monkeypatch: Any) -> None:
    """The connection carries a few bytes for each piece; slots come back and are used again."""
    with half(monkeypatch, True) as (one, theirs):
        memory = theirs.memory
        assert memory is not None
        long = bytes(range(256)) * 100_000
        payload, length = dump(long)
        one.link.queue(1, pack(7, [payload], [length]).frame(1))
        one.link.pump()
        reader = decoder.Decoder(LIMIT, slots.COUNT)
        arrived: list[frames.Frame] = []
        carried = 0
        used = set()
        while not arrived:
            size = theirs.connection.recv_into(reader.buffer())
            carried += size
            arrived += reader.decode(size)
            while reader.lanes:
                slot, place = reader.place()
                used.add(slot)
                with place:
                    memory.read(slot, place)
                arrived += reader.taken()
                theirs.connection.sendall(b"".join(freed([slot])))
        assert load(unpack(arrived[0]).payloads()[0]) == long
        assert carried < 5000
        assert len(used) <= slots.COUNT < len(long) // slots.SIZE
        wait_until(lambda: sorted(one.link._free) == list(range(slots.COUNT)))


def test_where_memory_is_short(monkeypatch: Any, peers: Any) -> None:
    """Pieces that can't be put into a slot go through the connection."""
    one, other = peers
    failing = iter([True, False, True, False, False] + [True] * 100)
    write = slots.Slots.write

    def short(self: slots.Slots, number: int, piece: memoryview) -> None:
        if next(failing):
            raise OSError(28, "No space left on device")
        write(self, number, piece)

    monkeypatch.setattr(slots.Slots, "write", short)
    payload, length = dump(bytes(range(256)) * 20_000)
    for i in range(2):
        one.link.queue(1, pack(i, [payload], [length]).frame(1))
    one.link.pump()
    wait_until(lambda: len(other.frames) == 2)
    for frame in other.frames:
        assert load(unpack(frame).payloads()[0]) == bytes(range(256)) * 20_000


def test_a_slot_can_be_given_back_once(monkeypatch: Any) -> None:
    """A peer that gives back what it does not have ends the link."""
    with half(monkeypatch, True) as (one, theirs):
        theirs.connection.sendall(b"".join(freed([3])))
        wait_until(lambda: one.ends)
        assert one.ends[0] is not None
        assert "twice" in one.ends[0]


def test_a_piece_longer_than_its_slot(monkeypatch: Any) -> None:
    """It ends the link, and nothing is read beyond the slot."""
    with half(monkeypatch, True) as (one, theirs):
        long = data(3 * slots.SIZE, 1)
        sent = [opening(long)]
        for piece in pieces(long, slots.SIZE + 1):
            sent += piece.parts() if len(piece.content) < 100 else [piece.slot(0)]
        theirs.connection.sendall(b"".join(b"".join(frame) for frame in sent))
        wait_until(lambda: one.ends)
        assert one.ends[0] is not None
        assert "slot 0" in one.ends[0]


@pytest.mark.parametrize("shared", [True, False])
def test_a_peer_that_dies_in_the_middle_of_a_long_message(monkeypatch: Any, shared: bool) -> None:
    """What it had sent whole arrives, the half message vanishes."""
    with half(monkeypatch, shared) as (one, theirs):
        wire, half_read = Wire(), one.link._decoder
        parts = wire.write(data(1_000_000, 1, 0), data(1_000_000, 2, 0))
        theirs.connection.sendall(b"".join(parts[:-3]))
        if shared:
            long, memory = data(10 * slots.SIZE, 3), theirs.memory
            assert memory is not None
            rest = [opening(long)]
            for i, piece in enumerate(pieces(long, slots.SIZE)):
                if len(piece.content) <= 100:
                    rest += piece.parts()
                elif i < 6:
                    memory.write(i, piece.content)
                    rest.append(piece.slot(i))
            theirs.connection.sendall(b"".join(b"".join(frame) for frame in rest))
        theirs.close()
        wait_until(lambda: one.ends)
        assert one.ends == [None]
        assert [f.channel for f in one.frames] == [1]
        assert not half_read.lanes
        assert not half_read._long, "a view that is left to the collector is an error there"


def test_what_is_in_slots_when_a_peer_ends_arrives(monkeypatch: Any) -> None:
    """Its last long message is whole in memory that the reader holds too."""
    with half(monkeypatch, True) as (one, theirs):
        memory = theirs.memory
        assert memory is not None
        one.gate.clear()
        long = data(10 * slots.SIZE, 3, 5)
        sent = [data(1, 1), opening(long)]
        for i, piece in enumerate(pieces(long, slots.SIZE)):
            if len(piece.content) > 100:
                memory.write(i, piece.content)
                sent.append(piece.slot(i))
            else:
                sent += piece.parts()
        theirs.connection.sendall(b"".join(b"".join(frame) for frame in sent))
        theirs.close()
        one.gate.set()
        wait_until(lambda: one.ends)
        assert one.ends == [None]
        assert [f.channel for f in one.frames] == [1, 3]
        (message,) = unpack(one.frames[1]).payloads()
        assert load(message) == bytes([3]) * (10 * slots.SIZE)


def test_long_messages_take_turns(peers: Any) -> None:
    """A long message does not wait for a much longer one on another stream."""
    one, other = peers
    other.gate.clear()
    one.link.queue(9, data(1, 9))
    one.link.pump()
    one.link.queue(1, data(30_000_000, 1))
    one.link.queue(2, data(1_000_000, 2))
    one.link.pump()
    other.gate.set()
    wait_until(lambda: len(other.frames) == 3)
    assert [f.channel for f in other.frames] == [9, 2, 1]
    if one.link._memory is not None:
        wait_until(lambda: len(one.link._free) == slots.COUNT)


def test_long_messages_both_ways_at_once(peers: Any) -> None:
    """Each side sends far more than there are slots; neither waits for the other."""
    for i in range(12):
        for channel, peer in enumerate(peers, 1):
            peer.link.queue(channel, data(3_000_000, channel, i))
            peer.link.pump()
    wait_until(lambda: all(len(peer.frames) == 12 for peer in peers))
    for channel, peer in zip((2, 1), peers, strict=True):
        assert [unpack(f).first for f in peer.frames] == list(range(12))
        for f in peer.frames:
            assert set(load(unpack(f).payloads()[0])) == {channel}


def test_threads_write_at_once(peers: Any) -> None:
    """Frames of many threads come whole, each stream in its order."""
    one, other = peers

    def write(channel: int) -> None:
        for i in range(100):
            one.link.queue(channel, data(10_000 * (i % 3) + 1, channel, i))
            one.link.pump()

    threads = [threading.Thread(target=write, args=(c,)) for c in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    wait_until(lambda: len(other.frames) == 500)
    for channel in range(1, 6):
        batches = [unpack(f) for f in other.frames if f.channel == channel]
        assert [b.first for b in batches] == list(range(100))
        for b in batches:
            assert set(load(b.payloads()[0])) == {channel}


def test_closing_flushes(peers: Any) -> None:
    """Everything queued before close arrives; both readers tell the end once."""
    one, other = peers
    for i in range(30):
        one.link.queue(1, data(300_000, 1, i))
    one.link.close(10)
    wait_until(lambda: one.ends == [None] and other.ends == [None])
    assert len(other.frames) == 30
    one.link.queue(1, data(1, 1))
    one.link.pump()
    one.link.close(1)


def test_closing_has_a_deadline(peers: Any) -> None:
    """A peer that doesn't read can't keep a link from closing."""
    one, other = peers
    other.gate.clear()
    for i in range(30):
        one.link.queue(1, data(1_000_000, 1, i))
    one.link.close(0.2)
    wait_until(lambda: one.ends == [None])
    other.gate.set()
    wait_until(lambda: other.ends)


@pytest.mark.parametrize("bad", [b"garbage" * 10, frames.HEADER.pack(1, 2, 3, 4, 5)])
def test_garbage_ends_the_link(bad: bytes) -> None:
    """The reader says what is wrong, once, and closes everything."""
    ours, theirs = connection_pair()
    peer = Peer(ours, "one")
    peer.link.start()
    with closing(theirs), theirs.connection as raw:
        raw.sendall(bad)
        wait_until(lambda: peer.ends)
        assert peer.ends[0] is not None
        assert "no frame" in peer.ends[0]
        assert raw.recv(10) == b""


def test_a_frame_cut_short_ends_the_link_quietly() -> None:
    """A peer that dies in the middle of a frame is an end like any other."""
    ours, theirs = connection_pair()
    peer = Peer(ours, "one")
    peer.link.start()
    with closing(theirs), theirs.connection as raw:
        raw.sendall(b"".join(data(1000, 1))[:500])
    wait_until(lambda: peer.ends)
    assert peer.ends == [None]
    assert peer.frames == []


def test_a_stranger_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a pair is made of a loopback listener, both ends are checked to be each other's."""
    listener = socket.create_server(("127.0.0.1", 0))
    one = socket.create_connection(listener.getsockname())
    stranger, _ = listener.accept()
    two = socket.create_connection(listener.getsockname())
    accepted, _ = listener.accept()
    with listener, stranger, two:
        monkeypatch.setattr(socket, "socketpair", lambda: (one, accepted))
        with pytest.raises(ConnectionError, match="stranger"):
            connection_pair()
        assert one.fileno() == accepted.fileno() == -1
    listener = socket.create_server(("127.0.0.1", 0))
    one = socket.create_connection(listener.getsockname())
    accepted, _ = listener.accept()
    with listener:
        monkeypatch.setattr(socket, "socketpair", lambda: (one, accepted))
        for end in connection_pair():
            end.close()
