"""Who reads a connection: its thread, or the loop it wakes; whatever that does, reading goes on."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from liteyuki_core.comm.loop.wakes import Wake
from liteyuki_core.comm.wire.reader import Reader
from tests.conftest import wait_until
from tests.loops import LOOPS, LoopThread, Sleeps
from tests.program import running_program

_NOWAIT = getattr(socket, "MSG_DONTWAIT", 0)


class Connection:
    """A connection whose one end a Reader reads; bytes sent to the other end are its messages."""

    def __init__(self, new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self.running = LoopThread(new_loop)
        self.ours, self.theirs = socket.socketpair()
        self.got = bytearray()
        self.woken = 0
        self.heavy = False
        self.by: list[threading.Thread] = []
        self.ends: list[BaseException] = []
        self.gate = threading.Event()
        self.gate.set()
        self.reader = Reader("x", self._open_handle, self._read, self._on_end)
        self.reader.thread.start()

    def _open_handle(self, waits: bool) -> socket.socket:
        handle = self.ours.dup()
        handle.settimeout(None if waits or _NOWAIT else 0)
        return handle

    def _read(self, handle: socket.socket, waits: bool) -> tuple[bool, list[Wake]]:
        data = handle.recv(1, 0 if waits else _NOWAIT)
        if not data:
            raise EOFError
        self.by.append(threading.current_thread())
        self.got += data
        return self.heavy, [(self.running.loop, self._wake)]

    def _wake(self) -> None:
        assert threading.current_thread() is self.running.thread
        self.woken += 1

    def _on_end(self, error: BaseException) -> None:
        assert threading.current_thread() is self.reader.thread
        self.reader.close()
        self.ends.append(error)

    def send(self, count: int) -> None:
        """Send messages, each when the one before was read, and wait until they are."""
        for _ in range(count):
            before = len(self.got)
            self.theirs.send(bytes([before % 251]))
            wait_until(lambda before=before: len(self.got) > before)

    def send_at_once(self, count: int) -> None:
        """Send messages in quick succession, and wait until they are read."""
        before = len(self.got)
        self.theirs.sendall(bytes((before + i) % 251 for i in range(count)))
        wait_until(lambda: len(self.got) == before + count)

    def lend(self) -> None:
        """Send until the loop reads."""

        def loop_reads() -> bool:
            self.send_at_once(50)
            return self.by[-1] is self.running.thread

        wait_until(loop_reads, "the loop reads")

    def close(self) -> None:
        self.theirs.close()
        wait_until(lambda: self.ends)
        self.running.stop()
        self.running.loop.close()
        self.ours.close()


@pytest.fixture(params=LOOPS)
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A connection and a running loop that every message wakes."""
    opened = Connection(LOOPS[request.param])
    yield opened
    opened.close()
    assert opened.got == bytes(i % 251 for i in range(len(opened.got)))
    assert len(opened.ends) == 1


def test_a_loop_that_is_woken_often_reads(connection: Connection) -> None:
    """A single message is read by the thread; many in quick succession by the loop they wake."""
    connection.send(1)
    assert connection.by == [connection.reader.thread]
    connection.lend()
    wait_until(lambda: connection.woken == len(connection.got), "one wake-up a message")


@pytest.fixture
def sleeps() -> Iterator[tuple[Connection, Sleeps]]:
    """A connection whose loop's selector is watched."""
    selector = Sleeps()
    opened = Connection(lambda: asyncio.SelectorEventLoop(selector))
    yield opened, selector
    opened.close()


def read_in_vain(connection: Connection, selector: Sleeps, count: int) -> list[int]:
    """Have the loop read so many single messages, each while it sleeps; return its looks."""
    looks: list[int] = []
    while len(looks) < count:
        wait_until(lambda: selector.sleeps)
        at, before = len(selector.looks), len(connection.got)
        connection.send(1)
        if connection.by[-1] is not connection.running.thread:
            connection.lend()
            continue
        wait_until(lambda at=at: len(selector.looks) > at)
        assert len(connection.got) == before + 1
        looks.append(selector.looks[at])
    return looks


def test_a_loop_that_reads_lingers(sleeps: tuple[Connection, Sleeps]) -> None:
    """It looks for more before it sleeps, but seldom where nothing more comes."""
    connection, selector = sleeps
    connection.lend()
    lingered = [looks > 2 for looks in read_in_vain(connection, selector, 100)]
    assert any(lingered)
    assert sum(lingered) <= 50, "a loop lingers in vain again and again"


def test_a_loop_that_lingers_does_everything_else(sleeps: tuple[Connection, Sleeps]) -> None:
    """Callbacks and timers of a loop that is kept awake run meanwhile."""
    connection, _ = sleeps
    loop = connection.running.loop
    ran: list[str] = []

    def again() -> None:
        ran.append("soon")
        loop.call_later(0.0001, ran.append, "later")

    while "later" not in ran:
        connection.lend()
        loop.call_soon_threadsafe(again)
        connection.send_at_once(500)
    assert "soon" in ran


def test_nobody_lingers_where_one_processor_is_all(
    sleeps: tuple[Connection, Sleeps], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other side could not run meanwhile."""
    if hasattr(os, "sched_getaffinity"):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    connection, selector = sleeps
    connection.lend()
    assert max(read_in_vain(connection, selector, 50)) <= 2


def test_the_thread_reads_again_when_nothing_came(connection: Connection) -> None:
    """Where traffic has ended, the thread waits for the next message, and nobody wakes up."""
    connection.lend()
    wait_until(lambda: connection.reader.may_read.locked())
    connection.send(1)
    assert connection.by[-1] is connection.reader.thread


def test_a_blocked_loop_stops_no_reading(connection: Connection) -> None:
    """While the loop that reads is blocked, the thread reads; the loop may read again later."""
    for _ in range(3):
        connection.lend()
        blocked, release = threading.Event(), threading.Event()

        def block(blocked: threading.Event = blocked, release: threading.Event = release) -> None:
            blocked.set()
            release.wait(20)

        connection.running.loop.call_soon_threadsafe(block)
        assert blocked.wait(10)
        connection.send(20)
        assert set(connection.by[-19:]) == {connection.reader.thread}
        release.set()


def test_what_is_work_for_the_thread_is_read_by_it(connection: Connection) -> None:
    """A loop that meets it gives the reading back, and isn't lent it again meanwhile."""
    connection.lend()
    connection.heavy = True
    wait_until(lambda: connection.send(1) or connection.by[-1] is connection.reader.thread)
    connection.send(100)
    assert set(connection.by[-100:]) == {connection.reader.thread}


@pytest.mark.parametrize("close", [False, True], ids=["stopped", "closed"])
def test_a_loop_that_ends_stops_no_reading(connection: Connection, close: bool) -> None:
    """A loop that is stopped, or closed as well, costs no message."""
    connection.lend()
    connection.running.stop()
    if close:
        connection.running.loop.close()
    connection.send(20)
    assert connection.by[-1] is connection.reader.thread


def test_a_loop_that_cant_watch_connections(connection: Connection) -> None:
    """It is not lent the reading a second time."""

    class NoReader(asyncio.SelectorEventLoop):
        def add_reader(self, *args: Any) -> None:
            raise NotImplementedError

    connection.running.stop()
    connection.running.loop.close()
    connection.running = LoopThread(NoReader)
    wait_until(lambda: connection.send_at_once(50) or not connection.reader.lendable)
    connection.send(50)
    assert set(connection.by) == {connection.reader.thread}


def test_order_however_often_the_reading_changes_hands(connection: Connection) -> None:
    """Bytes are read once and in order while loop and thread take turns."""
    loop = connection.running.loop
    stop = threading.Event()

    def hinder() -> None:
        if not stop.is_set():
            threading.Event().wait(0.003)
            loop.call_later(0.003, hinder)

    loop.call_soon_threadsafe(hinder)

    def both_have_read() -> bool:
        connection.send_at_once(500)
        changes = sum(a is not b for a, b in zip(connection.by, connection.by[1:], strict=False))
        return changes > 20

    wait_until(both_have_read)
    stop.set()


@pytest.mark.parametrize("lent", [False, True])
def test_the_end_is_told_once_by_the_thread(connection: Connection, lent: bool) -> None:
    """Whoever reads the end, the thread tells it, and what `read` raises comes with it."""
    if lent:
        connection.lend()
    connection.theirs.shutdown(socket.SHUT_WR)
    wait_until(lambda: connection.ends)
    assert isinstance(connection.ends[0], EOFError)


@pytest.mark.parametrize("lent", [False, True])
def test_what_read_raises_ends_the_reading(connection: Connection, lent: bool) -> None:
    """Bytes that make no sense end it, also where a loop has read them."""
    if lent:
        connection.lend()

    def fail(handle: socket.socket, waits: bool) -> Any:
        raise ValueError("no sense")

    connection.reader.read = fail
    connection.theirs.send(bytes([len(connection.got) % 251]))  # A thread that waits reads this.
    connection.theirs.send(b"x")
    wait_until(lambda: connection.ends)
    assert isinstance(connection.ends[0], ValueError)


@pytest.mark.parametrize("loop", LOOPS)
def test_stopping_while_loops_read(loop: str, tmp_path: Path, environment: dict[str, str]) -> None:
    """Both processes leave cleanly in the middle of round trips that loops read."""
    with running_program(tmp_path, environment, "trips", loop) as bot:
        assert bot.wait() == 0
        assert bot.found("^lent$")
        assert bot.found("process echo exited with code 0$")
        assert not bot.found("Traceback|is left|has not stopped")
