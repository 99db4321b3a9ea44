"""One link: writing that never waits, a reader that tells its end once, handles that are closed."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from liteyuki_core.comm import frames, link
from liteyuki_core.comm.wakes import Wake
from tests.conftest import wait_until

LIMIT = 32 << 20


class Peer:
    """One end of a pair of links, and what came to it."""

    def __init__(self, endpoint: link.Endpoint, name: str) -> None:
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
    ours, theirs = link.connection_pair()
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
    payload, word = frames.dump(bytes([channel]) * size)
    return frames.pack(first, [payload], [word]).frame(channel)


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
    assert [frames.unpack(f).first for f in other.frames[1:]] == list(range(20))


def test_a_long_message_lets_small_ones_pass(peers: Any) -> None:
    """Other streams take turns with a long message's pieces, and stream 0 goes first."""
    one, other = peers
    other.gate.clear()
    one.link.queue(9, data(1, 9))
    one.link.pump()
    one.link.queue(1, data(20_000_000, 1))
    one.link.queue(2, data(10, 2))
    one.link.queue(0, frames.control(0, op="first"))
    other.gate.set()
    one.link.pump()
    wait_until(lambda: len(other.frames) == 4)
    assert [f.channel for f in other.frames] == [9, 0, 2, 1]


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
        batches = [frames.unpack(f) for f in other.frames if f.channel == channel]
        assert [b.first for b in batches] == list(range(100))
        for b in batches:
            assert set(frames.load(b.payloads()[0])) == {channel}


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
    assert one.ends == [None]
    other.gate.set()
    wait_until(lambda: other.ends)


@pytest.mark.parametrize("bad", [b"garbage" * 10, frames.HEADER.pack(1, 2, 3, 4, 5)])
def test_garbage_ends_the_link(bad: bytes) -> None:
    """The reader says what is wrong, once, and closes everything."""
    ours, theirs = link.connection_pair()
    peer = Peer(ours, "one")
    peer.link.start()
    with theirs.connection as raw:
        raw.sendall(bad)
        wait_until(lambda: peer.ends)
        assert peer.ends[0] is not None
        assert "no frame" in peer.ends[0]
        assert raw.recv(10) == b""


def test_a_frame_cut_short_ends_the_link_quietly() -> None:
    """A peer that dies in the middle of a frame is an end like any other."""
    ours, theirs = link.connection_pair()
    peer = Peer(ours, "one")
    peer.link.start()
    with theirs.connection as raw:
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
            link.connection_pair()
        assert one.fileno() == accepted.fileno() == -1
    listener = socket.create_server(("127.0.0.1", 0))
    one = socket.create_connection(listener.getsockname())
    accepted, _ = listener.accept()
    with listener:
        monkeypatch.setattr(socket, "socketpair", lambda: (one, accepted))
        for end in link.connection_pair():
            end.close()
