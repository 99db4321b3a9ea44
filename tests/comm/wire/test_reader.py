"""Who reads a connection: its thread, or the loop it wakes; whatever that does, reading goes on."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from liteyuki_core.comm.loop.waiter import ReadingWaiter, SyncWaiter
from liteyuki_core.comm.loop.wakes import Wake
from liteyuki_core.comm.wire import reader as reader_module
from liteyuki_core.comm.wire.reader import Reader, _ThreadLoan
from liteyuki_core.errors import FrameError
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


# ------------------------------------------------------------- threads that wait


class Asked:
    """A connection that threads ask something over: each byte that comes answers one of them."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.by: list[int] = []
        self.ends: list[BaseException] = []
        self.waiters: deque[SyncWaiter] = deque()
        self.act: Callable[[], None] = lambda: None
        """Called in the middle of each read."""
        self.reader = Reader("x", self._open_handle, self._read, self.ends.append)
        self.reader.thread.start()

    def _open_handle(self, waits: bool) -> socket.socket:
        handle = self.ours.dup()
        handle.settimeout(None if waits else 0)
        return handle

    def _read(self, handle: socket.socket, waits: bool) -> tuple[bool, list[Wake]]:
        data = handle.recv(1)
        if not data:
            raise EOFError
        self.act()
        self.by.append(threading.get_ident())
        return False, [(None, self.waiters.popleft()._open)]

    def wait(self, seconds: float = 10, ask: Callable[[], object] | None = None) -> bool:
        """Ask, or have `ask` called, and wait for the answer; return whether it came."""
        loan = self.reader.will_wait()
        waiter = SyncWaiter() if loan is None else ReadingWaiter(loan)
        self.waiters.append(waiter)
        (ask or self.answer)()
        return waiter.wait(seconds)

    def answer(self) -> None:
        self.theirs.send(b"x")

    def lend(self) -> _ThreadLoan:
        """Ask until this thread has the reading; return the loan."""

        deadline = monotonic() + 30
        while monotonic() < deadline:
            assert self.wait()
            loan = self.reader._loan
            if isinstance(loan, _ThreadLoan) and loan.thread == threading.get_ident():
                return loan
        pytest.fail("the thread was never lent the reading")

    def home(self) -> bool:
        return self.reader._loan is None

    def close(self) -> None:
        self.theirs.close()
        wait_until(lambda: self.ends)
        self.reader.thread.join(10)
        self.reader.close()
        self.ours.close()


@pytest.fixture
def asked() -> Iterator[Asked]:
    """A connection over which threads ask."""
    opened = Asked()
    yield opened
    opened.close()
    assert len(opened.ends) == 1
    assert not opened.waiters


def test_a_thread_that_asks_without_pause_reads(asked: Asked) -> None:
    """A first answer is read by the reader's thread, soon all by who waits for them."""
    assert asked.wait()
    assert asked.by == [asked.reader.thread.ident]
    me = threading.get_ident()
    wait_until(lambda: bool(asked.lend()) and asked.wait() and asked.by[-1] == me, "it reads")


def test_the_thread_reads_again_when_nobody_asks(asked: Asked) -> None:
    """However the thread that had the reading goes on, or ends."""
    for _ in range(3):
        asked.lend()
        wait_until(asked.home, "it is given back")
    thread = threading.Thread(target=asked.lend)
    thread.start()
    thread.join(20)
    wait_until(asked.home, "it is given back")
    assert asked.wait()


def test_a_wait_that_lasts_is_an_ordinary_one(asked: Asked) -> None:
    """The reader's thread reads what comes late, and what does not come at all is a time-out."""
    asked.lend()
    assert asked.wait(20, ask=lambda: threading.Timer(0.1, asked.answer).start())
    assert asked.by[-1] == asked.reader.thread.ident
    asked.lend()
    assert not asked.wait(0.05, ask=lambda: None)
    wait_until(asked.home, "it is given back")
    asked.answer()
    wait_until(lambda: not asked.waiters, "the late answer is read")


def test_a_wait_ends_in_time(asked: Asked) -> None:
    """Also while answers for others come without pause, which the thread reads for them."""
    asked.lend()
    stop = threading.Event()

    def ask() -> None:
        others = SyncWaiter()
        while not stop.is_set():
            asked.waiters.appendleft(others)
            asked.answer()
            assert others.wait(10)

    asking = threading.Thread(target=ask)
    try:
        assert not asked.wait(0.3, ask=asking.start)
    finally:
        stop.set()
        asking.join(20)
    asked.answer()
    wait_until(lambda: not asked.waiters, "the late answer is read")


def test_a_thread_that_is_stuck_where_it_waits(asked: Asked) -> None:
    """As in a signal's handler: the reader's thread reads, and the thread finds its answer."""
    loan = asked.lend()
    assert loan.start_waiting()
    waiter = ReadingWaiter(loan)
    asked.waiters.append(waiter)
    asked.answer()
    wait_until(lambda: not asked.waiters, "it is read")
    assert asked.home()
    loan.stop_waiting(keeps=True)
    assert waiter.wait(10)


def test_a_wait_in_a_wait(asked: Asked) -> None:
    """A signal's handler may ask too while its thread waits: it is answered, then the thread."""
    loan = asked.lend()
    assert loan.start_waiting()
    assert asked.wait()
    assert asked.by[-1] == asked.reader.thread.ident
    loan.stop_waiting(keeps=True)
    assert asked.wait()


def test_several_threads_ask(asked: Asked) -> None:
    """Each gets its answers, whoever reads them."""
    answered: list[int] = []
    lock = threading.Lock()

    def ask(pause: float) -> None:
        for i in range(400):
            loan = asked.reader.will_wait()
            waiter = SyncWaiter() if loan is None else ReadingWaiter(loan)
            with lock:
                asked.waiters.append(waiter)
                asked.answer()
            assert waiter.wait(20)
            answered.append(i)
            if pause and i % 50 == 0:
                threading.Event().wait(pause)

    threads = [threading.Thread(target=ask, args=(pause,)) for pause in (0, 0, 0.002, 0.01)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answered) == 4 * 400


def test_loans_of_little_use_are_made_seldom(asked: Asked) -> None:
    """A thread that soon does something else gets the reading after ever more waits."""
    needed = [asked.reader._needed]
    for _ in range(3):
        before = len(asked.by)
        while asked.home():
            assert asked.wait()
        wait_until(asked.home, "it is given back")
        assert len(asked.by) - before >= needed[-1]
        needed.append(asked.reader._needed)
    assert needed == sorted(set(needed))


def test_the_end_while_a_thread_reads(asked: Asked) -> None:
    """The reader's thread tells it; who waits is not stuck with it."""
    asked.lend()
    assert not asked.wait(0.5, ask=lambda: asked.theirs.shutdown(socket.SHUT_WR))
    asked.waiters.clear()
    wait_until(lambda: asked.ends)
    assert isinstance(asked.ends[0], EOFError)


def test_an_interrupt_in_the_middle_of_a_read(asked: Asked) -> None:
    """It reaches the thread, and the reading ends: what has come may be half decoded."""
    asked.lend()
    reads = asked.reader.thread.ident

    def interrupt() -> None:
        if threading.get_ident() != reads:
            raise KeyboardInterrupt

    asked.act = interrupt

    def interrupted() -> bool:
        try:
            asked.wait(1)
        except KeyboardInterrupt:
            return True
        return False

    wait_until(interrupted, "it is interrupted")
    asked.waiters.clear()
    wait_until(lambda: asked.ends)
    assert isinstance(asked.ends[0], FrameError)


def test_nobody_else_reads_where_nothing_waits_for_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows: answers are read by the reader's thread alone."""
    monkeypatch.setattr(reader_module, "arrivals_of", lambda connection: None)
    asked = Asked()
    for _ in range(500):
        assert asked.wait()
    assert set(asked.by) == {asked.reader.thread.ident}
    asked.close()


@pytest.mark.parametrize("loop", LOOPS)
def test_stopping_while_loops_read(loop: str, tmp_path: Path, environment: dict[str, str]) -> None:
    """Both processes leave cleanly in the middle of round trips that loops read."""
    with running_program(tmp_path, environment, "trips", loop) as bot:
        assert bot.wait() == 0
        assert bot.found("^lent$")
        assert bot.found("process echo exited with code 0$")
        assert not bot.found("Traceback|is left|has not stopped")
