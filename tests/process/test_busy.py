"""Whom a stop may interrupt: a main thread that is not in the middle of what is done for it.

Tests process/child/leaving.py.
"""

from __future__ import annotations

import pkgutil
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import liteyuki_core
from liteyuki_core.comm import current
from liteyuki_core.comm.storage import shared_memory
from liteyuki_core.process.child.leaving import _is_busy
from tests.conftest import wait_until
from tests.pair import Pair, run_async

ROOMS = [
    module.name
    for module in pkgutil.walk_packages(liteyuki_core.__path__, "liteyuki_core.")
    if not module.ispkg
]
COMM = [name for name in ROOMS if name.startswith("liteyuki_core.comm.")]
LEAVING = "liteyuki_core.process.child.leaving"
WAITER = [name for name in COMM if name.endswith(".waiter")]


def called(module: str, *acts: Callable[[], object]) -> Callable[[], object]:
    """Return a function of a module of that name which calls these."""
    found: dict[str, Any] = {"__name__": module, "acts": acts}
    exec("def call():\n    for act in acts:\n        act()", found)
    call: Callable[[], object] = found["call"]
    return call


def assert_idle(ident: int) -> None:
    """Fail if a thread is busy and stays it: what woke the test may have been a step too early."""
    wait_until(lambda: not _is_busy(ident), "it is not busy")


class Stand:
    """Where a thread stands until it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.leave = threading.Event()

    def __call__(self, *_: object) -> int:
        self.entered.set()
        self.leave.wait(20)
        return 1

    def __reduce__(self) -> Any:
        return int, (self(),)


@pytest.fixture
def stand() -> Iterator[Stand]:
    """Makes one that is let go with the test."""
    made = Stand()
    yield made
    made.leave.set()


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A main process and a child, linked; this process is the child."""
    made = Pair()
    current.install(made.child)
    yield made
    current.uninstall(made.child)
    made.close()


def test_there_is_one_room_where_who_waits_stands() -> None:
    """The lists of rooms below are not empty, and say so of one room alone."""
    assert len(WAITER) == 1
    assert len(COMM) > 30
    assert len(ROOMS) - len(COMM) > 20


@pytest.mark.parametrize("room", ROOMS)
def test_by_rooms(stand: Stand, room: str) -> None:
    """Who is in a room of `comm` is busy, whatever it calls of Python's own; who waits is not.

    Who interrupts it is another thread, or waits for its own finaliser to end.
    """
    python = called("threading", stand.entered.set, stand.leave.wait)
    thread = threading.Thread(target=called(room, python))
    thread.start()
    assert thread.ident is not None
    assert stand.entered.wait(20)
    busy = _is_busy(thread.ident)
    stand.leave.set()
    thread.join(10)
    assert busy == (room == LEAVING or (room in COMM and room not in WAITER))


@pytest.mark.parametrize("room", ["loguru", "threading", LEAVING])
def test_what_a_link_calls_is_part_of_it(stand: Stand, room: str) -> None:
    """A thread that reads handles what has come: that is not broken off, wherever it is."""
    above = called(room, called("threading", stand.entered.set, stand.leave.wait))
    thread = threading.Thread(target=called("liteyuki_core.comm.wire.link", above))
    thread.start()
    assert thread.ident is not None
    assert stand.entered.wait(20)
    busy = _is_busy(thread.ident)
    stand.leave.set()
    thread.join(10)
    assert busy


def test_who_waits_for_a_message_is_not(pair: Pair) -> None:
    """A thread or a task that receives."""
    ours, theirs = pair.channel()
    for receive in (theirs.receive, lambda: run_async(theirs.async_receive())):
        thread = threading.Thread(target=receive)
        thread.start()
        assert thread.ident is not None
        wait_until(lambda: theirs._end.receiving.receivers, "it waits")
        assert_idle(thread.ident)
        ours.send(1)
        thread.join(10)


def test_who_waits_for_room_is_not(pair: Pair) -> None:
    """A thread or a task that sends where there is no room."""
    ours, theirs = pair.channel(1)
    theirs.send(0)
    ours_too, theirs_too = pair.channel(1)
    theirs_too.send(0)
    acts: list[tuple[Callable[[], object], Any, Any]] = [
        (lambda: theirs.send(1), theirs, ours),
        (lambda: run_async(theirs_too.async_send(1)), theirs_too, ours_too),
    ]
    for send, full, other in acts:
        thread = threading.Thread(target=send)
        thread.start()
        assert thread.ident is not None
        wait_until(lambda full=full: full._end.sending.senders, "it waits")
        assert_idle(thread.ident)
        assert [other.receive(10), other.receive(10)] == [0, 1]
        thread.join(10)


def test_who_is_in_the_middle_of_sending_is(pair: Pair) -> None:
    """Also where it waits for a lock there."""
    _, theirs = pair.channel()
    entered = threading.Event()

    def sends() -> None:
        entered.set()
        theirs.send(1)

    with pair.child.lock:
        thread = threading.Thread(target=sends)
        thread.start()
        ident = thread.ident
        assert ident is not None
        wait_until(lambda: entered.is_set() and _is_busy(ident), "it is busy")
    thread.join(10)


@pytest.mark.parametrize("what", ["send", "async_send", "update"])
def test_what_users_wrote_is_not(pair: Pair, stand: Stand, what: str) -> None:
    """Though something of this package has called it: pickling, an update's function."""
    _, theirs = pair.channel()
    acts: dict[str, Callable[[], object]] = {
        "send": lambda: theirs.send(stand),
        "async_send": lambda: run_async(theirs.async_send(stand)),
        "update": lambda: shared_memory.update("key", stand, 0),
    }
    thread = threading.Thread(target=acts[what])
    thread.start()
    assert thread.ident is not None
    assert stand.entered.wait(20)
    assert not _is_busy(thread.ident)
    stand.leave.set()
    thread.join(10)
